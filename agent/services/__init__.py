"""Loops that run until stopped."""
