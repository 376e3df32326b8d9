"""MCUmgr's Simple Management Protocol as a device speaks it: serial console and UDP."""
