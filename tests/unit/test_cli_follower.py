"""Following events over a link that breaks anywhere: none is left out, none comes twice."""

import time
from typing import Any, cast

import pytest

from coordinator.cli import events
from coordinator.cli.client import CallError, Client, Exit
from coordinator.cli.events import Follower, follow

LAST = 7


def written(number: int) -> bytes:
    """One event as it comes over the line."""
    said = b'{"specversion":"1.0","id":"%d","source":"urn:x","type":"agent.silent",'
    said += b'"subject":"agent:a","time":"2026-01-01T00:00:00Z","data":{}}'
    return b"id: %d\ndata: " % number + said % number + b"\n\n"


class Line:
    """Sends what comes after the number it is asked for; its first stream breaks after `size`."""

    def __init__(self, size: int) -> None:
        self.size, self.streams = size, 0

    def stream(self, path: str, query: Any, headers: dict[str, str]) -> Any:
        self.streams += 1
        rest = b"".join(map(written, range(int(headers["Last-Event-ID"]) + 1, LAST + 1)))
        if self.streams == 1:
            yield b"event: missed\ndata: {}\n\n" + rest[: self.size]
            raise CallError("cut", Exit.FAILED, passing=True)
        yield rest + b": nothing new\nid: 9\n\n"
        raise CallError("over", Exit.DENIED)


@pytest.mark.parametrize("size", range(2 * len(written(1)) + 1))
def test_a_link_that_breaks_anywhere_costs_no_event(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(events, "_AGAIN_S", 0)
    heard: list[int] = []
    follower = Follower(cast("Client", Line(size)), {}, 0)

    def hear() -> None:
        for event in follow(follower, until_s=time.monotonic() + 60):
            assert int(event.id) == follower.after, "where it goes on when nothing follows"
            heard.append(int(event.id))

    with pytest.raises(CallError, match="over"):
        hear()
    assert heard == list(range(1, LAST + 1))
    assert follower.after == 9, "a number without data moves it on"
