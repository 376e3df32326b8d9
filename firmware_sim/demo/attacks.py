"""The attacker's tricks, one after the other, and how many of them were refused.

Owns the sequence and the count. What the bytes are stands in `forge`, how they get onto the link
in `middle`. Whether a trick had an effect is not judged here but by the devices' own ledgers.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from firmware_sim.demo import forge
from firmware_sim.demo.middle import Exchange, Middle, Trick
from shared.errors import Reason
from shared.sync.body import PartKind

_FORBIDDEN_BELOW = 400
"""An HTTP status from here on is a refusal."""


@dataclass(slots=True)
class Score:
    """What was tried and what became of it."""

    sent: int = 0
    refused: int = 0
    duplicates: int = 0


Told = Callable[[str, bool], None]
"""Gets each trick's name and whether it was refused."""

Refusals = Callable[[], Awaitable[dict[str, int]]]
"""Asks what an agent has refused so far, by reason."""


async def attack_coordinator(middle: Middle, execution: bytes, score: Score, tell: Told) -> None:
    """Send hostile reports to the coordinator and count those it refuses."""
    genuine = forge.part(middle.captured.requests[-1], PartKind.REPORT)
    oldest = middle.captured.requests[0]
    assert genuine is not None, "every contact begins with a report"
    attempts = {
        "a forged report, signed with the attacker's own key": forge.request(
            forge.forged_report(genuine, middle.key)
        ),
        "an altered report, one bit turned over": forge.request(forge.altered(genuine)),
        "a replayed report, recorded at the first contact": oldest,
        "a bundle passed off as a report": forge.request(
            forge.forged_bundle(middle.captured.bundles[-1], middle.key, execution)
        ),
    }
    for name, body in attempts.items():
        exchange = await middle.send(body)
        refused = exchange.status >= _FORBIDDEN_BELOW
        if body is oldest and not refused:
            # An old report is genuine: it is answered, so that nobody who replays can silence the
            # real gateway, but nothing moves on and whoever sent it gets no order.
            refused = forge.part(exchange.answer, PartKind.BUNDLE) is None
        score.sent += 1
        score.refused += refused
        tell(f"{name} -> coordinator", refused)


async def attack_agent(
    middle: Middle,
    other: Middle,
    execution: bytes,
    score: Score,
    *,
    tell: Told,
    refusals: Refusals,
) -> None:
    """Put hostile documents into the answers to an agent and count those it refuses, by reason."""
    bundle = middle.captured.bundles[-1]
    first_reply = middle.captured.replies[0]
    hostile: list[tuple[str, Reason, Trick]] = [
        (
            "a forged order, signed with the attacker's own key",
            Reason.THRESHOLD_NOT_MET,
            _with_bundle(forge.forged_bundle(bundle, middle.key, execution)),
        ),
        (
            "an altered order, one bit turned over",
            Reason.THRESHOLD_NOT_MET,
            _with_bundle(forge.altered(bundle)),
        ),
        (
            "a replayed order, recorded when it was genuine",
            Reason.REPLAYED,
            _with_bundle(bundle),
        ),
        (
            "an order that was signed for another gateway",
            Reason.WRONG_AUDIENCE,
            _with_bundle(other.captured.bundles[-1]),
        ),
        (
            "a forged answer that acknowledges everything",
            Reason.THRESHOLD_NOT_MET,
            _instead(lambda reply: forge.forged_reply(reply, middle.key)),
        ),
        (
            "a replayed answer from an earlier contact",
            Reason.WRONG_NONCE,
            _instead(lambda _: first_reply),
        ),
    ]
    before = await refusals()
    await middle.play(*(trick for _, _, trick in hostile))
    # The next faithful contact carries the agent's own count of what it refused.
    await middle.play(_faithful, _faithful)
    seen = Counter(await refusals())
    seen.subtract(before)
    for name, reason, _ in hostile:
        refused = seen[reason.text] > 0
        seen[reason.text] -= refused
        score.sent += 1
        score.refused += refused
        tell(f"{name} -> gateway", refused)


async def duplicate(middle: Middle, score: Score, tell: Told) -> None:
    """Send genuine traffic twice: reports with their blocks, and an order beside a new answer."""

    async def twice(here: Middle, path: str, body: bytes) -> Exchange:
        await here.send(body, path)
        score.duplicates += 1 + forge.count_blocks(body)
        return await here.pass_on(path, body)

    async def lose_answer(here: Middle, path: str, body: bytes) -> Exchange:
        await here.send(body, path)
        score.duplicates += 1 + forge.count_blocks(body)
        return Exchange(body, 502, b"")

    await middle.play(*(_when_loaded(trick) for trick in (twice, lose_answer, twice)))
    score.duplicates += 1
    await middle.play(_with_bundle(middle.captured.bundles[-1]))
    tell("every report, block and order delivered twice, one answer lost", True)  # noqa: FBT003


def _when_loaded(trick: Trick) -> Trick:
    """Let contacts pass until one carries readings, and play the trick on that one."""

    async def patient(here: Middle, path: str, body: bytes) -> Exchange:
        if forge.count_blocks(body) == 0:
            here.tricks.insert(1, patient)
            return await here.pass_on(path, body)
        return await trick(here, path, body)

    return patient


async def _faithful(here: Middle, path: str, body: bytes) -> Exchange:
    return await here.pass_on(path, body)


def _with_bundle(bundle: bytes) -> Trick:
    async def trick(here: Middle, path: str, body: bytes) -> Exchange:
        exchange = await here.pass_on(path, body)
        reply = forge.part(exchange.answer, PartKind.REPLY)
        assert reply is not None, "the coordinator always replies"
        return Exchange(body, exchange.status, forge.answer(reply, bundle))

    return trick


def _instead(make: Callable[[bytes], bytes]) -> Trick:
    async def trick(here: Middle, path: str, body: bytes) -> Exchange:
        exchange = await here.pass_on(path, body)
        reply = forge.part(exchange.answer, PartKind.REPLY)
        assert reply is not None, "the coordinator always replies"
        return Exchange(body, exchange.status, forge.answer(make(reply)))

    return trick
