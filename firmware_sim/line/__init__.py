"""Simulated devices that speak lines of text: NMEA 0183, SDI-12, and a gauge of our own."""
