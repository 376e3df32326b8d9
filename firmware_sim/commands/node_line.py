"""The command line of a sensor node: what a person writes becomes an order.

Imports nothing of the node itself: Modbus devices start without its dependencies.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware_sim.address import Address, parse_address
from firmware_sim.flash import FlashTiming
from shared import limits
from shared.errors import MistakeError

NAME = "sensor-node"
_OF_MODBUS = ("unit", "settings", "replay", "columns", "tcp", "http", "line", "start_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOrder:
    """What `outstation-sim device sensor-node` was asked for."""

    serial: Path | None
    udp: Address | None
    baud: int | None = None
    image: Path | None = None
    key: Path | None = None
    flash: Path | None = None
    slot_kb: int = 256
    buffer_bytes: int = 1024
    buffers: int = 4
    timing: FlashTiming
    downgrade: bool = True
    sha512: bool = False
    pure: bool = False
    seed: int = 0
    faults: Sequence[str] = ()
    ledger: Path | None = None
    speed: float = 1.0
    control: Path | None = None
    ready_fd: int | None = None


def add_node_options(parser: argparse.ArgumentParser) -> None:
    """Add what only a sensor node takes."""
    add = parser.add_argument_group(f"only for {NAME}").add_argument
    add("--image", type=Path, metavar="FILE", help="signed MCUboot image that runs at first")
    add("--key", type=Path, metavar="PEM", help="Ed25519 key whose images it boots")
    add("--flash", type=Path, metavar="FILE", help="keep the flash there: it survives any end")
    add("--slot-kb", type=int, default=256, metavar="KB", help="size of each image slot (256)")
    add("--buffer", type=int, metavar="BYTES", help="of one request (serial 1024, UDP 2048)")
    add("--buffers", type=int, default=4, metavar="N", help="requests it can hold (4)")
    add("--erase-ms", type=int, default=0, metavar="MS", help="to erase 4 kB of flash; 45 is usual")
    add("--page-us", type=int, default=0, metavar="US", help="to program 256 B; 700 is usual")
    add("--no-downgrade", action="store_true", help="its bootloader refuses older versions")
    add_build_options(parser)


def add_build_options(parser: argparse.ArgumentParser) -> None:
    """Add how a bootloader was compiled, as far as its images have to know."""
    add = parser.add_argument_group("how the bootloader was built").add_argument
    add("--sha", choices=("256", "512"), help="hash of images and keys (256; with --pure 512)")
    add("--pure", action="store_true", help="images are signed as a whole, not by their hash")


def node_order(given: argparse.Namespace) -> NodeOrder:
    """Return what was asked for.

    Raises:
        MistakeError: a sensor node has no such option, or no such value of it.
    """
    if given.models != [NAME] or given.count != 1:
        raise MistakeError(f"a {NAME} has a port for itself", mend="start each on its own")
    for name in _OF_MODBUS:
        if getattr(given, name):
            raise MistakeError(f"a {NAME} speaks SMP", mend="use --serial PATH or --udp HOST:PORT")
    if given.slot_kb % 4 or not 8 <= given.slot_kb <= limits.SIM_SLOT_KB:
        raise MistakeError(
            f"--slot-kb {given.slot_kb} is no multiple of 4 from 8 to {limits.SIM_SLOT_KB}"
        )
    buffer_bytes = given.buffer if given.buffer is not None else 2048 if given.udp else 1024
    if not 128 <= buffer_bytes <= limits.SIM_BUFFER_BYTES:
        raise MistakeError(
            f"--buffer {buffer_bytes} is not from 128 to {limits.SIM_BUFFER_BYTES} bytes"
        )
    if not 1 <= given.buffers <= limits.SIM_BUFFERS:
        raise MistakeError(f"--buffers {given.buffers} is not from 1 to {limits.SIM_BUFFERS}")
    if not 0 <= given.erase_ms <= 10_000 or not 0 <= given.page_us <= 1_000_000:
        raise MistakeError("--erase-ms is from 0 to 10000, --page-us from 0 to 1000000")
    return NodeOrder(
        serial=given.serial,
        udp=None if given.udp is None else parse_address(given.udp),
        baud=given.baud,
        image=given.image,
        key=given.key,
        flash=given.flash,
        slot_kb=given.slot_kb,
        buffer_bytes=buffer_bytes,
        buffers=given.buffers,
        timing=FlashTiming(erase_us=1000 * given.erase_ms, page_us=given.page_us),
        downgrade=not given.no_downgrade,
        sha512=is_sha512(given),
        pure=given.pure,
        seed=given.seed,
        faults=given.faults,
        ledger=given.ledger,
        speed=given.speed,
        control=given.control,
        ready_fd=given.ready_fd,
    )


def is_sha512(given: argparse.Namespace) -> bool:
    """Tell whether it is SHA-512: MCUboot's signer takes that for what is signed as a whole."""
    return bool(given.sha == "512" or (given.pure and given.sha is None))
