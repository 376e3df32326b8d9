"""Decisions as pure functions: reconciling, targeting, access."""
