"""A simulated broker with a device behind it; written from MQTT 3.1.1 (OASIS, 2014)."""
