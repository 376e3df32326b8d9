"""Devices that speak lines of text, described by their profiles without code."""
