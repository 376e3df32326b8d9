"""Which devices a job would be for, as far as the coordinator knows them by their newest word.

Gateways choose devices by asking them (`agent.services.selection`); this chooses the gateways that
get the job, and counts for a preview. Leaves out keeping the words
(`coordinator.transactions.devices`).
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from coordinator.core.ports import Row, Tx, fetch
from coordinator.core.targeting import KNOWN, Reach, needs_devices
from shared import limits
from shared.model.job import Targets
from shared.model.selector import Selector, parse_selector


def agents_with(targets: Targets) -> Tx[Collection[str] | None]:
    """Return the agents known to have a device that is meant; None: that decides nothing."""
    if not needs_devices(targets):
        return None
    wanted = _wanted(targets)
    found = yield from _count(wanted, wanted.value_of("vendor"), wanted.value_of("model"))
    return found.matching.keys()


def reach_of(targets: Targets, agents: Collection[str]) -> Tx[Reach]:
    """Return what is known of the devices of these agents."""
    found = yield from _count(_wanted(targets))
    chosen = set(agents)
    matching, silent = (
        sum(devices for agent, devices in by_agent.items() if agent in chosen)
        for by_agent in (found.matching, found.silent)
    )
    return Reach(matching, len(chosen - found.asked), silent)


def words_of(row: Row) -> dict[str, str]:
    """Return the labels of a device from its row: agent, device, kind, profile, what it said."""
    names = ("id", "kind", "profile", "vendor", "model", "firmware")
    return {name: text for name, text in zip(names, row[1:7], strict=True) if text}


def _wanted(targets: Targets) -> Selector:
    """Return what of a device selector can be told here; labels of the local file cannot."""
    selector = parse_selector(targets.device_selector, where="targets.device_selector")
    return selector.about(KNOWN, only=True)


@dataclass(frozen=True, slots=True)
class _Found:
    """Devices by agent."""

    matching: Counter[str] = field(default_factory=Counter)
    silent: Counter[str] = field(default_factory=Counter)
    """Those of them that do not answer."""
    asked: set[str] = field(default_factory=set)
    """Agents of which any device was read."""


def _count(wanted: Selector, vendor: str = "", model: str = "") -> Tx[_Found]:
    """Return how many devices match; `vendor`, `model`: only those that say this are read.

    Many devices say the same of themselves: each thing that is said is compared once a page.
    """
    found = _Found()
    after = ("", "")
    first = 1 if "id" in wanted.keys else 2
    while True:
        rows = yield from fetch("device_words", *after, vendor, model, limits.DEVICE_WORDS_READ)
        verdicts: dict[Row, bool] = {}
        for row in rows:
            agent, said = row[0], row[first:7]
            found.asked.add(agent)
            matches = verdicts.get(said)
            if matches is None:
                matches = verdicts[said] = wanted.matches(words_of(row))
            if matches:
                found.matching[agent] += 1
                if row[7] is not None:
                    found.silent[agent] += 1
        if len(rows) < limits.DEVICE_WORDS_READ:
            return found
        after = (rows[-1][0], rows[-1][1])
