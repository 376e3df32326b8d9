"""Simulated field devices and links, written from the protocols' specifications.

Stands apart from the agent on purpose: it shares no codec with what it is used to test, so an
error in one is seen by the other.
"""
