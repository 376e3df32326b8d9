"""Simulated devices that speak HTTP with JSON; written from RFC 9112, 7616 and 8259."""
