"""Parts for tests of the simulated sensor node: keys, images, flash, and a small client.

The client packs headers and frames by hand; it only trusts what stands in the bytes it gets.
"""

import base64
import json
import struct
from hashlib import sha256
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_sim.bootloader import Bootloader, Layout, Slot
from firmware_sim.clock import SimTime
from firmware_sim.device import Device
from firmware_sim.flash import SECTOR_BYTES, Flash
from firmware_sim.ledger import Ledger
from firmware_sim.mcuboot import Version, make_image
from firmware_sim.models import find_model
from firmware_sim.smp.node import Medium, Node
from tests.sim_parts import HandTicks

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)


def image(
    version: str = "1.0.0", *, key=KEY, body: bytes | None = None, size: int = 9_000
) -> bytes:
    """A signed image of about `size` bytes whose body begins with `body`."""
    text = body if body is not None else b"firmware " + version.encode()
    filled = (text + b"\0" + bytes(range(256)) * (size // 256 + 1))[:size]
    return make_image(filled, Version(*(int(part) for part in version.split("."))), key)


def loader(*, sectors: int = 8, downgrade: bool = True, first: bytes | None = None) -> Bootloader:
    """A device with an image in its primary slot."""
    layout = Layout(slot_bytes=sectors * SECTOR_BYTES)
    boot = Bootloader(Flash(layout.flash_bytes), layout, KEY.public_key(), downgrade=downgrade)
    boot.write(Slot.PRIMARY, 0, image() if first is None else first)
    return boot


# --- a master -----------------------------------------------------------------------------------
HEAD = struct.Struct(">BBHHBB")
READ, WRITE = 0, 2


def request(op: int, group: int, command: int, values=None, *, seq: int = 0, version: int = 1):
    payload = cbor2.dumps({} if values is None else values)
    return HEAD.pack(version << 3 | op, 0, len(payload), group, seq, command) + payload


def response(packet: bytes) -> dict:
    """The map of an answer whose header says its true length."""
    assert HEAD.unpack_from(packet)[2] == len(packet) - HEAD.size
    return cbor2.loads(packet[HEAD.size :])


def slow_crc(data: bytes) -> int:
    """CRC-16/XMODEM bit by bit: polynomial 0x1021, start 0."""
    value = 0
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ 0x1021 if value & 0x8000 else value << 1) & 0xFFFF
    return value


def lines_of(packet: bytes, raw_bytes: int = 93) -> bytes:
    whole = struct.pack(">H", len(packet) + 2) + packet + struct.pack(">H", slow_crc(packet))
    pieces = [whole[at : at + raw_bytes] for at in range(0, len(whole), raw_bytes)]
    marks = [b"\x06\x09"] + [b"\x04\x14"] * len(pieces)
    return b"".join(
        mark + base64.b64encode(piece) + b"\n" for mark, piece in zip(marks, pieces, strict=False)
    )


class Bench:
    """A node whose clock only moves when told to, and a master that asks it directly."""

    def __init__(self, boot: Bootloader | None = None, *, medium=Medium.UDP, faults=(), **options):
        self.ticks = HandTicks()
        self.lines: list[bytes] = []
        self.loader = boot if boot is not None else loader(sectors=16)
        time = SimTime(self.ticks)
        self.node = Node(
            self.loader,
            Device(find_model("soil")),
            medium=medium,
            time=time,
            faults=tuple(faults),
            ledger=Ledger(self.lines.append, self.ticks),
            **options,
        )

    def ask(self, op: int, group: int, command: int, values=None, **options) -> Any:
        """The answer's map; None if there is none."""
        exchange = self.node.hear(request(op, group, command, values, **options))
        answer = None if exchange is None else self.node.finish(exchange)
        return None if answer is None or answer.packet is None else response(answer.packet)

    def images(self) -> list[dict]:
        return self.ask(READ, 1, 0)["images"]

    def shown(self) -> list[tuple[str, list[str]]]:
        """Version and flags of each image."""
        names = ("pending", "confirmed", "active", "permanent")
        return [(row["version"], [n for n in names if row[n]]) for row in self.images()]

    def send_piece(self, data: bytes, at: int, size: int = 700, **more) -> Any:
        first = {"len": len(data), "sha": sha256(data).digest()} if at == 0 else {}
        values = {"off": at, "data": data[at : at + size]} | first | more
        return self.ask(WRITE, 1, 1, values)

    def upload(self, data: bytes) -> dict:
        answer: dict = {"off": 0}
        for _ in range(len(data)):
            answer = self.send_piece(data, answer["off"])
            if answer["off"] == len(data):
                break
        return answer

    def restart(self, ms: int = 2_000) -> None:
        assert self.ask(WRITE, 0, 5) == {}
        self.pass_ms(ms)

    def pass_ms(self, ms: int) -> None:
        self.ticks.advance(ms)
        self.node.advance()

    def ledger(self) -> list[dict]:
        return [json.loads(line) for line in self.lines]

    def boots(self) -> list[tuple[str, str]]:
        """What each boot did, and which version ran then."""
        rows = (line for line in self.ledger() if line.get("event") == "boot")
        return [(row["swap"], row.get("version", "")) for row in rows]
