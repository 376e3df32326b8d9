"""Bodies that travel inside signed documents or over authenticated doors; typed, array-like.

Owns their fields only. Signed documents stand in `shared.trust.documents`; REST bodies for
people stand in `coordinator.contract`. Fields are appended with defaults, never reordered.
"""

import msgspec

from shared.model.job import Value


class Announced(msgspec.Struct, frozen=True, array_like=True):
    """A block the agent holds: its number and the first 16 bytes of sha256 over its bytes."""

    seq: int
    digest: bytes


VOID = bytes(16)
"""In place of an execution, where a receipt's number is all that its agent can still read."""


class Receipt(msgspec.Struct, frozen=True, array_like=True):
    """A fact about an execution, or about its task on one device, numbered per jobs epoch."""

    number: int
    """From 1 within the agent's jobs epoch; facts are ordered by it, never by arrival."""
    execution: bytes
    device: str
    """Empty: the fact is about the execution; `state` is then an ExecutionState."""
    state: int
    attempt: int
    reason: int
    """A `Reason`, or 0 for none."""
    wall_ms: int
    detail: str = ""
    result: dict[str, Value] = {}
    """Values read, or read back after a write, by `step.point`."""
    firing_ms: int = 0
    """Of a standing job: the first nominal time (for a rule: when it fired) of the firings this is
    about. It tells how they ended and moves no execution. 0: it is about an execution or a task."""
    last_ms: int = 0
    """The last of those firings: several in a row that ended alike are told as one."""
    count: int = 0
    """How many they are."""

    @property
    def is_void(self) -> bool:
        """Tell whether it only takes its number's place: what it told is lost."""
        return self.execution == VOID


class LossRow(msgspec.Struct, frozen=True, array_like=True):
    """Readings that will never be delivered, and why: a row of the loss ledger."""

    number: int
    """From 1 within the telemetry epoch."""
    reason: int
    first_ms: int
    last_ms: int
    count: int
    estimated: bool = False


class DeviceWord(msgspec.Struct, frozen=True, array_like=True):
    """That a device does not answer, or takes firmware; what does not hold is -1."""

    device: str
    silent_s: int = -1
    image_permille: int = -1
    """How much of an image it has, in thousandths."""
    unheard: bool = False
    """It has not answered since the agent started, `silent_s` ago or later."""


class Tally(msgspec.Struct, frozen=True, array_like=True):
    """The agent's account of its readings since its telemetry epoch began.

    sampled = suppressed + delivered + stored + lost holds at every report.
    """

    sampled: int
    suppressed: int
    delivered: int
    stored: int
    lost: int


class Anchor(msgspec.Struct, frozen=True, array_like=True):
    """True time for one boot: every timestamp of that boot can be set right by it."""

    boot_id: bytes
    mono_ms: int
    wall_ms: int
    """Coordinated universal time at `mono_ms`, from a verified reply."""
    err_ms: int
    """How far off `wall_ms` may be: half of the round trip that brought it."""


class TargetProof(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """That an agent stands in a list of which only the digest was signed (RFC 9162, 2.1.3)."""

    index: int
    """Its place in the sorted list, from 0."""
    path: list[bytes]
    """Hashes from its leaf to the top."""


class Grant(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One execution handed to an agent; `spec` is the job's canonical bytes."""

    execution: bytes
    spec: bytes
    not_after_ms: int
    job_class: str
    """The class it claims; the agent's own policy says what that class may do and must have."""
    approvals: list[bytes] = []
    """Envelopes of `approval/1`, where the class asks for them."""
    proof: TargetProof | None = None
    """The agent's place in the approved list, where an approval binds one."""
    job: bytes = b""
    """Which job it is an execution of: other jobs may wait for how it ends."""
    trace: bytes = b""
    """The trace id of the request that the job came with, for the agent's log; empty: it had
    none."""


class SignedFloor(msgspec.Struct, frozen=True, array_like=True):
    """Where an agent that lost its counters goes on: none of these may ever go below."""

    epoch: int
    root_version: int
    catalog_version: int
    policy_version: int
    restore_epoch: int
    bundle_seq: int
    counter: int


class EnrollRequest(msgspec.Struct, frozen=True, array_like=True):
    """What a box sends to be let in, signed by the key it made."""

    secret: bytes
    """The claim's; empty where a person vouches for the key's fingerprint instead."""
    public_key: bytes
    name: str = ""
    """The name the operator chose; empty lets the coordinator choose one."""
    labels: dict[str, str] = {}
    root_version: int = 0
    """Of the root document it trusts; the answer leads it on from there."""


class EnrollAnswer(msgspec.Struct, frozen=True, array_like=True):
    """What an enrolled agent needs to know of itself; the root came with the claim."""

    agent: str
    """Empty while a person has yet to accept the key."""
    fleet: bytes
    root: bytes
    """The newest root document, as an envelope."""
    site: str = ""
    again_s: int = 0
    """When to ask again, where `agent` is empty."""
    certificate: bytes = b""
    """DER of a client certificate for the agent's key, where the coordinator issues them."""
    steps: list[bytes] = []
    """Root documents between the one the box trusts and `root`, in their order."""
