"""`outstation-sim link`: a bad link between two TCP programs, until told to stop."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from firmware_sim.address import Address, parse_address
from firmware_sim.commands.running import say, serve_until_told
from firmware_sim.control import Command, serve_control
from firmware_sim.link import LinkProxy
from shared.errors import MistakeError


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOrder:
    """What `outstation-sim link` was asked for."""

    listen: Address
    target: Address
    delay_ms: int = 0
    rate_bps: int | None = None
    reset_after_bytes: int | None = None
    keep_stale: bool = False
    control: Path | None = None
    ready_fd: int | None = None


async def run_link(order: LinkOrder) -> None:
    """Pass TCP connections on until SIGINT or SIGTERM.

    Raises:
        MistakeError, WorldError: it cannot start.
    """
    link = LinkProxy(
        listen=order.listen,
        target=order.target,
        delay_ms=order.delay_ms,
        rate_bps=order.rate_bps,
        reset_after_bytes=order.reset_after_bytes,
        reset_stale=not order.keep_stale,
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(link)
        if order.control is not None:
            await stack.enter_async_context(serve_control(order.control, link_commands(link)))
        say(f"{link.address} leads to {link.target}")
        await serve_until_told(str(link.address), order.ready_fd, link.failed)


def link_commands(link: LinkProxy) -> Mapping[str, Command]:
    """Return the commands of a running link's control socket."""

    def black_hole(words: Sequence[str]) -> object:
        match words:
            case ["on" | "off" as word]:
                link.black_hole(word == "on")
            case _:
                raise MistakeError("black-hole on, or black-hole off?")
        return None

    def delay(words: Sequence[str]) -> object:
        link.delay_ms = _whole(words, "delay MS")
        return None

    def rate(words: Sequence[str]) -> object:
        link.rate_bps = _whole(words, "rate BPS, 0 for no limit") or None
        return None

    def reset_after(words: Sequence[str]) -> object:
        link.reset_after_bytes = _whole(words, "reset-after BYTES, 0 for never") or None
        return None

    def target(words: Sequence[str]) -> object:
        match words:
            case [text]:
                link.set_target(parse_address(text))
            case _:
                raise MistakeError("target HOST:PORT")
        return None

    return {
        "black-hole": black_hole,
        "reset": lambda _: {"reset": link.reset_all()},
        "delay": delay,
        "rate": rate,
        "reset-after": reset_after,
        "target": target,
        "stats": lambda _: {**asdict(link.stats), "black_hole": link.is_black_hole},
    }


def _whole(words: Sequence[str], usage: str) -> int:
    match words:
        case [text] if text.isascii() and text.isdigit() and len(text) < 13:
            return int(text)
        case _:
            raise MistakeError(f"usage: {usage}")
