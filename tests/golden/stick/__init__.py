"""Frozen sticks: what any release has written is read by this one as it was meant."""
