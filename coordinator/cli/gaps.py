"""`outstation agents gaps`: what of an agent's readings is here, missing or lost, as a picture."""

from coordinator.cli.client import Client, segment
from coordinator.cli.show import Screen
from coordinator.contract.gaps import GapSlice, GapsView, StoreGaps
from shared.words import some

_SHOWN = 8
_KEY = "\u2588 received   \u2592 received, some lost   \u00d7 lost   ? on its way   \u00b7 nothing"


def show_gaps(client: Client, screen: Screen, agent: str, *, days: int) -> None:
    """Print the gap map of one agent."""
    slices = max(10, min(screen.width - 2, 200))
    asked = {"days": days, "slices": slices}
    view = client.get(f"/v1/agents/{segment(agent)}/gaps", GapsView, asked)
    if screen.as_json:
        screen.json(view)
        return
    screen.text("".join(map(mark, view.slices)))
    first, last = f"{days} d ago", "now"
    screen.text(first + " " * max(1, len(view.slices) - len(first) - len(last)) + last)
    screen.text(_KEY)
    for number, store in enumerate(view.stores, 1):
        screen.text()
        _show_store(screen, number, store, is_newest=number == len(view.stores))
    if not view.stores:
        screen.text("it has brought no readings yet")


def mark(one: GapSlice) -> str:
    """Return one character for a stretch of time; what is worst is seen first."""
    if one.lost:
        return "\u2592" if one.readings else "\u00d7"
    if one.readings:
        return "\u2588"
    return "?" if one.missing else "\u00b7"


def _show_store(screen: Screen, number: int, store: StoreGaps, *, is_newest: bool) -> None:
    facts: list[tuple[str, object]] = [
        (f"store {number}", store.store),
        ("blocks made", store.blocks_made),
        ("received", store.blocks_received),
        # Nobody holds the disk of a store that a newer one replaced.
        ("on their way" if is_newest else "never came", store.blocks_missing),
        ("given up", store.blocks_gone),
    ]
    for one in store.missing[:_SHOWN]:
        after = "the beginning" if one.after is None else f"{one.after:%Y-%m-%d %H:%M} UTC"
        before = "now" if one.before is None else f"{one.before:%Y-%m-%d %H:%M} UTC"
        facts.append((f"  {one.first}-{one.last}", f"between {after} and {before}"))
    if len(store.missing) > _SHOWN:
        facts.append(("", f"and {len(store.missing) - _SHOWN} more"))
    for loss in store.losses:
        about = "about " if loss.estimated else ""
        when = f"{loss.first:%Y-%m-%d %H:%M} to {loss.last:%Y-%m-%d %H:%M} UTC"
        facts.append(("lost", f"{about}{some(loss.readings, 'reading')}, {loss.reason}, {when}"))
    screen.facts(facts)
