"""Devices that answer HTTP with JSON: relays, meters, gateways of makers."""
