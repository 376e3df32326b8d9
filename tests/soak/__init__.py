"""Hours of work in front of instruments: what leaks shows itself."""
