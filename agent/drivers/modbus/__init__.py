"""Modbus RTU and TCP, as a master."""
