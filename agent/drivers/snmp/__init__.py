"""Devices that answer SNMP: power supplies, switches, radios."""
