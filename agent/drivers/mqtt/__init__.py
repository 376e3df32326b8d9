"""Devices behind an MQTT broker: plugs, sensors, gateways of radio networks."""
