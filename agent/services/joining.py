"""A box joins its fleet: finds the coordinator, asks, waits for a person, keeps the answer.

Owns the order and what a person is told on the way. Leaves out one request and its answer
(`agent.services.enroll`).
"""

import asyncio
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.core.uplink import Fault, LinkFailed
from agent.services.discovery import Candidate, look
from agent.services.enroll import Claim, Waits, enroll
from agent.services.identity import Enrolment, save_certificate, save_enrolment
from agent.store.jobs_file import begin_counters
from shared.errors import MistakeError
from shared.ids import fingerprint
from shared.trust.counters import Counters
from shared.trust.envelope import Signer

RETRY_S = 30
"""While a person is awaited, a line that breaks is tried again after this long."""
_PASSING = {Fault.UNREACHABLE, Fault.SILENT, Fault.BUSY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person at the box wants."""

    claim: Claim
    url: str
    name: str
    labels: Mapping[str, str]
    """All of them."""
    given: Mapping[str, str]
    """Of these, the ones that the configuration does not know."""
    discover: bool = False
    """Ask the local network where the coordinator is."""
    interfaces: Sequence[str] = ()
    patience_s: float | None = None
    """How long to wait for a person; None: as long as it takes."""


async def join(
    wish: Wish, signer: Signer, *, tell: Callable[[str], None]
) -> Enrolment | Waits | LinkFailed:
    """Return what became of a wish to join; `tell` is given a line for the person at the box.

    Raises:
        MistakeError: the URL, the name or an interface cannot be used.
        RefusedError: an answer does not fit the claim.
    """
    loop = asyncio.get_running_loop()
    until = None if wish.patience_s is None else loop.time() + wish.patience_s
    waited = False
    while True:
        end = await _ask(wish, signer, tell)
        if isinstance(end, Enrolment):
            return dataclasses.replace(end, given=dict(wish.given))
        if isinstance(end, Waits):
            if not waited:
                tell(
                    "not accepted yet; read this fingerprint to your fleet's admin:"
                    f" {fingerprint(signer.public_key)}"
                )
            waited, pause_s = True, end.again_s
        elif waited and end.fault in _PASSING:
            pause_s = end.retry_after_s or RETRY_S
        else:
            return end
        if until is not None and loop.time() + pause_s > until:
            return end
        await asyncio.sleep(pause_s)


def keep(data_dir: Path, enrolment: Enrolment) -> None:
    """Keep an enrolment, and the counters that begin with it.

    Raises:
        MistakeError: the disk does not take it.
    """
    first = Counters(epoch=enrolment.root.epoch, root_version=enrolment.root.version)
    try:
        # Counters begin at nothing once, with the key: the enrolment comes after them.
        begin_counters(data_dir, first)
        if enrolment.certificate:
            save_certificate(data_dir, enrolment.certificate)
        save_enrolment(data_dir, enrolment)
    except OSError as error:
        raise MistakeError(f"cannot be written ({error.strerror})", where=str(data_dir)) from error


async def _ask(
    wish: Wish, signer: Signer, tell: Callable[[str], None]
) -> Enrolment | Waits | LinkFailed:
    """Ask once: the URL's own host, or everybody who announces to be it until one proves it."""
    if not wish.discover:
        return await _ask_at(wish, signer, None)
    candidates = await look(wish.claim.root.fleet, interfaces=wish.interfaces)
    end: Enrolment | Waits | LinkFailed = LinkFailed(
        fault=Fault.UNREACHABLE, detail="nobody announces a coordinator of this fleet here"
    )
    for candidate in candidates:
        end = await _ask_at(wish, signer, candidate)
        if not isinstance(end, LinkFailed):
            tell(f"found the coordinator at {candidate}")
            return end
    return end


async def _ask_at(
    wish: Wish, signer: Signer, candidate: Candidate | None
) -> Enrolment | Waits | LinkFailed:
    return await enroll(
        wish.claim, signer, url=wish.url, name=wish.name, labels=wish.labels, at=candidate
    )
