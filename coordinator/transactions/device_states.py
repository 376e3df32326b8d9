"""What gateways say of single devices: who does not answer, and how firmware comes along.

Owns keeping the newest word. Leaves out what devices say they are
(`coordinator.transactions.devices`).
"""

from coordinator.contract.agents import ImageView
from coordinator.core.ports import Tx, execute, fetch
from shared.clock import ClockState, WallMs
from shared.ids import AgentId
from shared.trust.documents import Report

_TRUSTED = frozenset({ClockState.HOLDOVER, ClockState.SYNCED})


def devices_said(agent: AgentId, report: Report, now_ms: WallMs) -> Tx[None]:
    """Keep what a report says of devices in place of all that was said before, if it says any.

    A report may be weeks old when it comes, so its own clock tells when that was, if it can. A
    device that is unheard since the agent started was silent before, when that was said before.
    """
    if report.devices is None:
        return
    at_ms = report.wall_ms if report.clock_state in _TRUSTED else now_ms
    known = yield from fetch("device_states", agent)
    before = {device: since_ms for device, since_ms, _ in known if since_ms is not None}
    yield from execute("device_states_forget", agent)
    for word in report.devices:
        since_ms = None if word.silent_s < 0 else at_ms - 1000 * word.silent_s
        if since_ms is not None and word.unheard:
            since_ms = min(since_ms, before.get(word.device, since_ms))
        permille = None if word.image_permille < 0 else word.image_permille
        yield from execute("device_state_save", agent, word.device, since_ms, permille, at_ms)


def images_of(agent: str) -> Tx[list[ImageView]]:
    """Return the devices that firmware is on its way into, as far as they are named."""
    rows = yield from fetch("device_states", agent)
    return [ImageView(device, permille) for device, _, permille in rows if permille is not None]
