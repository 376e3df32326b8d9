"""What the coordinator counts about itself, for Prometheus.

Labels are few and bounded: never an agent, a job or a path that a client chose.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Children:
    """A counter by labels whose children are looked up once.

    The library's own way takes three times as long, several times a contact.
    """

    def __init__(self, family: Counter) -> None:
        self._family = family
        self._made: dict[tuple[object, ...], Counter] = {}

    def labels(self, *values: object) -> Counter:
        """Return the counter of these labels; they are few and bounded."""
        child = self._made.get(values)
        if child is None:
            child = self._made[values] = self._family.labels(*values)
        return child


class Metrics:
    """Every series of one coordinator, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.contacts = self._counter("contacts", "Contacts, by place in their chain", "chain")
        self.refused = self._counter(
            "refused", "Reports, blocks and enrolments refused, by reason", "reason"
        )
        self.unseen = self._total(
            "unseen", "Contacts refused unseen: too much from their address was no good"
        )
        self.blocks = self._counter("blocks", "Blocks of accepted contacts", "verdict")
        self.readings = self._total("readings", "Readings committed")
        self.receipts = self._total("receipts", "Receipts committed")
        self.grants = self._total("grants", "Executions signed into bundles")
        self.bytes = self._counter("contact_bytes", "Bodies of contacts", "direction")
        self.requests = self._counter("http_requests", "Requests answered", "route", "status")
        self.contact_seconds = self._seconds(
            "contact_seconds", "From a contact's last byte to its answer, without the wait for work"
        )

    def watch(self, name: str, help_: str, value: Callable[[], float]) -> None:
        """Show a value that is asked for at each scrape."""
        Gauge(f"outstation_{name}", help_, registry=self._registry).set_function(value)

    def exposition(self) -> bytes:
        """Return every series in Prometheus' text format."""
        return generate_latest(self._registry)

    def _total(self, name: str, help_: str) -> Counter:
        return Counter(f"outstation_{name}", help_, registry=self._registry)

    def _counter(self, name: str, help_: str, *labels: str) -> Children:
        return Children(Counter(f"outstation_{name}", help_, labels, registry=self._registry))

    def _seconds(self, name: str, help_: str) -> Histogram:
        return Histogram(f"outstation_{name}", help_, registry=self._registry, buckets=_SECONDS)
