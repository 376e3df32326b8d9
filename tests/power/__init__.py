"""Disks that fail and power that goes: the real stores over every write that they really made."""
