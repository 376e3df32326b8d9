"""Whose contact it is: a report's signature and values, checked by the key of who it says it is.

Leaves out what is done with a contact (`coordinator.services.intake`).
"""

from functools import partial

import msgspec

from coordinator.core.intake import check_report
from coordinator.core.ports import Store
from coordinator.services.metrics import Metrics
from coordinator.services.sources import Sources
from coordinator.transactions.contact import Identity, load_identity
from shared import limits
from shared.errors import Reason, RefusedError
from shared.ids import AgentId, FleetId
from shared.trust.documents import ClaimedReport, Report, document_hash, read_report


class Verified(msgspec.Struct, frozen=True):
    """A report that was checked."""

    agent: AgentId
    report: Report
    digest: bytes
    key: bytes
    """Public key that verified it."""
    has_work: bool
    """Work may wait for it; true as well where nobody looked."""
    turns: bool
    """By this report another key than before becomes the agent's."""


class Verifier:
    """Checks reports, and remembers by which keys."""

    def __init__(self, fleet: FleetId, store: Store, sources: Sources, metrics: Metrics) -> None:
        self._fleet, self._store, self._sources, self._metrics = fleet, store, sources, metrics
        self._keys: dict[AgentId, bytes] = {}
        """Keys that verified reports, the newest last. A transaction checks them again."""

    async def verify(self, data: bytes, source: str, *, says_something: bool) -> Verified:
        """Return a report whose signature and values were checked.

        Args:
            data: its envelope.
            source: where it comes from.
            says_something: it comes with blocks. Its commit is durable whatever waits for the
                agent, so nobody looks: a key that verified its reports before does so again,
                and the transaction asks whether it is still the agent's.

        Raises:
            RefusedError: it is not used.
        """
        agent = AgentId("")
        try:
            claimed = read_report(data)
            agent = AgentId(claimed.report.agent)
            self._admit(source, agent, claimed)
            verified = await self._verify(
                claimed, document_hash(data), says_something=says_something
            )
        except RefusedError as error:
            if error.reason is Reason.CONTACTS_CROWDED:
                self._metrics.unseen.inc()
            else:
                self._sources.fail(source, agent)
            raise
        self._sources.prove(source, agent)
        return verified

    def _admit(self, source: str, agent: AgentId, claimed: ClaimedReport) -> None:
        """Refuse who spent what an address may, unless it is the agent that stands there.

        Raises:
            RefusedError: CONTACTS_CROWDED.
        """
        try:
            self._sources.admit(source, agent)
        except RefusedError:
            # Its name is no secret, and others at its address may have spent what it may.
            key = self._keys.get(agent) if self._sources.is_home(source, agent) else None
            if key is None or not claimed.is_signed_by(key):
                raise

    async def _verify(
        self, claimed: ClaimedReport, digest: bytes, *, says_something: bool
    ) -> Verified:
        report = claimed.report
        agent = AgentId(report.agent)
        key, has_work, turns = self._keys.get(agent, b""), True, False
        if not (says_something and key and claimed.is_signed_by(key)):
            identity = await self._store.read(partial(load_identity, agent))
            key, has_work = _signing_key(claimed, identity), identity.has_work and identity.may_hear
            turns = key != identity.public_key
            self._remember(agent, key)
        check_report(report, fleet=self._fleet)
        return Verified(agent, report, digest, key, has_work, turns)

    def _remember(self, agent: AgentId, key: bytes) -> None:
        self._keys.pop(agent, None)
        if len(self._keys) >= limits.KEYS_REMEMBERED:
            del self._keys[next(iter(self._keys))]
        self._keys[agent] = key


def _signing_key(claimed: ClaimedReport, identity: Identity) -> bytes:
    """Return the key that verifies a report: the agent's, or the one that replaces it.

    Raises:
        RefusedError: THRESHOLD_NOT_MET: neither does.
    """
    for key in (identity.public_key, identity.next_key):
        if key is not None and claimed.is_signed_by(key):
            return key
    raise RefusedError(Reason.THRESHOLD_NOT_MET, "0 of 1")
