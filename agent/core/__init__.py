"""Decisions only: no await, no log, no clock, no randomness."""
