"""Seeds that once broke a promise, by what they found; each is played in every run.

What a seed means changes when the world does: the defect itself has a directed test of its own.
"""

from collections.abc import Mapping

FOUND: Mapping[str, int] = {
    "a stop that waits for ever for a service that failed in cleaning up": 5,
    "a loss that a restored coordinator knows from the agent's account only": 17,
}
