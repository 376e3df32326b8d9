"""MCUmgr's Simple Management Protocol: small devices, their measurements and their firmware."""
