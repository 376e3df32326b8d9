"""Simulated devices that answer SNMP; written from RFC 3416, 3417, 2578 and 1628."""
