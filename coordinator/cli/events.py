"""`outstation events`: what happens in the fleet, listed and followed as it happens."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec
from cyclopts import App

from coordinator.cli.client import CallError, Client, Exit
from coordinator.cli.options import DEFAULT, Common, with_client
from coordinator.cli.show import Screen
from coordinator.contract.events import EVENT_STREAM_TYPE, EventView
from shared import limits

app = App(name="events", help="What happens in the fleet, as it happens.")

_AGAIN_S = 2.0
"""Between two attempts to listen again."""
_LINE_BYTES = 1 << 20
"""More of a line than any event has."""


@app.command(name="list")
def list_(
    *,
    type_: str = "",
    about: str = "",
    selector: str = "",
    most: int = 50,
    common: Common = DEFAULT,
) -> None:
    """List what happened, newest first.

    Parameters
    ----------
    type_
        Only this, e.g. agent.silent, or all of a noun, e.g. rollout.
    about
        Only about this: job:ID, agent:NAME, execution:ID, device:AGENT/DEVICE.
    selector
        Only of agents that match.
    most
        At most so many.
    """
    query = {"type": type_, "subject": about, "selector": selector, "order": "newest"}
    with_client(common, lambda client, screen: _list(client, screen, query, most))


@app.command
def watch(
    *,
    type_: str = "",
    about: str = "",
    selector: str = "",
    after: int | None = None,
    until: int | None = None,
    common: Common = DEFAULT,
) -> Exit:
    """Show events as they happen; whatever becomes of the link, none is left out.

    With --json one line for each.

    Parameters
    ----------
    type_
        Only this, e.g. agent.silent, or all of a noun, e.g. rollout.
    about
        Only about this: job:ID, agent:NAME, execution:ID, device:AGENT/DEVICE.
    selector
        Only of agents that match.
    after
        Begin after the event of this number; 0: with the oldest that is kept.
    until
        End after so many seconds.
    """
    query = {"type": type_, "subject": about, "selector": selector}
    return with_client(common, lambda client, screen: _watch(client, screen, query, after, until))


@dataclass
class Follower:
    """Listens to events over whatever becomes of the link."""

    client: Client
    query: Mapping[str, object]
    after: int | None = None
    """The number of the last event that is known; None: only what happens from now on."""
    missed: bool = False
    """Some were lost: they were not kept until we came back."""
    _line: bytes = field(default=b"", init=False)

    def once(self, *, seconds: int) -> Iterator[EventView]:
        """Yield events of one stream until it ends or the time is over.

        Raises:
            CallError: the coordinator refused, or cannot be reached.
        """
        headers = {"Accept": EVENT_STREAM_TYPE}
        if self.after is not None:
            headers["Last-Event-ID"] = str(self.after)
        asked = {**self.query, "seconds": seconds}
        self._line = b""
        number, data = self.after, b""
        for piece in self.client.stream("/v1/events/stream", asked, headers=headers):
            for line in self._lines(piece):
                name, _, value = line.partition(b": ")
                if name == b"id":
                    number = int(value)
                elif name == b"event":
                    self.missed = True
                elif name == b"data":
                    data = value
                elif not line:
                    # Only now all of it is here: a link that breaks before brings it once more.
                    self.after = number
                    event, data = _decoded(data), b""
                    if event is not None:
                        yield event

    def _lines(self, piece: bytes) -> list[bytes]:
        *lines, self._line = (self._line + piece).split(b"\n")
        if len(self._line) > _LINE_BYTES:
            raise CallError("the coordinator's answer is not understood", Exit.FAILED)
        return lines


def follow(follower: Follower, *, until_s: float) -> Iterator[EventView]:
    """Yield events until a time on the monotonic clock, listening again whenever a stream ends.

    Raises:
        CallError: the coordinator refused: coming back would not help.
    """
    while (left := until_s - time.monotonic()) > 0:
        try:
            yield from follower.once(seconds=max(1, min(int(left), limits.EVENT_STREAM_S)))
        except CallError as error:
            if not error.passing:
                raise
            time.sleep(max(0.0, min(_AGAIN_S, until_s - time.monotonic())))


def _decoded(data: bytes) -> EventView | None:
    try:
        return msgspec.json.decode(data, type=EventView)
    except msgspec.DecodeError:
        return None  # none, or the data of `missed`


def _list(client: Client, screen: Screen, query: dict[str, str], most: int) -> None:
    found = list(client.pages("/v1/events", EventView, query, most=most))
    if screen.as_json:
        screen.json(found)
        return
    if not found:
        screen.text("nothing of that kind happened")
        return
    screen.table(
        ("NUMBER", "AT (UTC)", "EVENT", "ABOUT", "WHO", "WHAT"),
        [
            (
                *(one.id, f"{one.time:%Y-%m-%d %H:%M:%S}", one.type, one.subject),
                *(one.data.who or "-", in_words(one)),
            )
            for one in found
        ],
    )


def _watch(
    client: Client,
    screen: Screen,
    query: dict[str, str],
    after: int | None,
    until: int | None,
) -> Exit:
    follower = Follower(client, query, after)
    ends = float("inf") if until is None else time.monotonic() + until
    for event in follow(follower, until_s=min(ends, time.monotonic() + limits.DELAY_S)):
        if follower.missed:
            screen.warn("some events are lost: they were not kept until you came back")
            follower.missed = False
        if screen.as_json:
            screen.json(event)
        else:
            at = f"{event.time:%Y-%m-%d %H:%M:%S} UTC"
            screen.text(f"{at} {event.type} {event.subject} {in_words(event)}".rstrip())
    return Exit.OK


def in_words(event: EventView) -> str:
    """Return what an event says beyond its type and subject, as one line."""
    data = event.data
    said = []
    if data.state:
        agent = f"{data.agent}: " if data.execution else ""
        late = ", late" if data.late else ""
        said.append(f"{agent}{data.before} -> {data.state}{late}")
    if data.reason:
        said.append(data.reason)
    said += [f"{key}={value}" for key, value in data.detail.items() if value not in {"", None}]
    return " ".join(said)
