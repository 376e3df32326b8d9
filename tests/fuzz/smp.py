"""A simulated sensor node and its images under hostile bytes."""

from collections.abc import Sequence
from functools import cache
from itertools import product

from firmware_sim.bootloader import Slot
from firmware_sim.device import Device
from firmware_sim.mcuboot import Build, ImageError, check_image, read_image
from firmware_sim.model import Model
from firmware_sim.models import find_model
from firmware_sim.smp.console import Decoder
from firmware_sim.smp.node import Medium, Node
from firmware_sim.smp.packet import Malformed
from shared.errors import Reason, RefusedError
from tests.mcuboot_parts import (
    LONG,
    PURE,
    WHOLE_KEY,
    covered,
    der,
    hashed,
    named,
    signature,
    trailed,
)
from tests.smp_parts import KEY, READ, STRANGER, WRITE, image, lines_of, loader, request

_FIRST = image(size=3_000)
_SIGNED = (read_image(_FIRST).covered, covered(), covered((0xA0, b"vendor"), (0x50, bytes(4))))
"""All that the key has ever signed."""
BUILDS = [
    Build(pure=pure, whole_key=whole, sha512=long)
    for pure, whole, long in product((False, True), repeat=3)
]


@cache
def _soil() -> Model:
    return find_model("soil")


def _node() -> Node:
    return Node(loader(sectors=2, first=_FIRST), Device(_soil()), medium=Medium.SERIAL)


def packet(data: bytes) -> None:
    """One packet, as from UDP; what runs must go on running."""
    node = _node()
    _serve(node, data)
    assert node.board.loader.boot().image is not None


def console(data: bytes) -> None:
    """A stream of a console; what is left of it must not hide a good packet for ever."""
    node, decoder = _node(), Decoder(1_024)
    for item in decoder.feed(data):
        if not isinstance(item, Malformed):
            _serve(node, item)
    found = list(decoder.feed(b"\n" + lines_of(b"good")))
    assert found[-1] == b"good"


def mcuboot(data: bytes) -> None:
    """An image; whatever else its trailer holds, only what was signed is believed."""
    faults = []
    for build in BUILDS:
        try:
            found = read_image(data, build)
            check_image(found, KEY.public_key(), build)
        except ImageError as error:
            faults.append(error.fault)
        else:
            assert found.covered in _SIGNED
    if len(faults) == len(BUILDS):
        raise RefusedError(Reason.BAD_SHAPE, faults[0].value)


def _serve(node: Node, data: bytes) -> None:
    exchange = node.hear(data)
    if exchange is not None:
        answer = node.finish(exchange)
        assert answer.packet is not None
        assert len(answer.packet) <= node.buffers.size
    assert node.board.loader.image(Slot.PRIMARY) is not None


def packets() -> Sequence[bytes]:
    """A request of every command."""
    upload = {"off": 0, "data": _FIRST[:200], "len": len(_FIRST), "sha": bytes(32)}
    file = {"name": "/lfs/a", "off": 0, "data": b"abc", "len": 3}
    return [
        request(WRITE, 0, 0, {"d": "hello"}),
        request(WRITE, 0, 4, {"datetime": "2026-01-01T00:00:00"}),
        request(WRITE, 0, 5),
        request(READ, 0, 7, {"format": "a"}),
        request(READ, 0, 8, {"query": "mode"}),
        request(READ, 1, 0),
        request(WRITE, 1, 0, {"hash": read_image(_FIRST).digest, "confirm": True}),
        request(WRITE, 1, 1, upload, version=0),
        request(WRITE, 1, 5, {"slot": 1}),
        request(READ, 2, 0, {"name": "sensors"}),
        request(READ, 3, 0, {"name": "sensor/interval", "max_size": 4}),
        request(WRITE, 3, 0, {"name": "sensor/offset", "val": b"\1\0"}),
        request(WRITE, 3, 3),
        request(WRITE, 8, 0, file),
        request(READ, 8, 2, {"name": "/lfs/a", "type": "sha256", "off": 1, "len": 1}),
    ]


def streams() -> Sequence[bytes]:
    """Packets as a console carries them."""
    return [b"booted\r\n" + b"".join(map(lines_of, packets()[:4])), lines_of(packets()[7])]


def images() -> Sequence[bytes]:
    """What is believed, in each way that is known; small, so that edits hit what matters."""
    plain, more = _SIGNED[1:]
    both = (named(STRANGER), signature(plain, STRANGER), named(), signature(plain))
    whole = ((PURE, b"\1"), named(), signature(plain, whole=True))
    return [
        _FIRST,
        trailed(plain, hashed(plain), *both),
        trailed(plain, hashed(plain), *whole),
        trailed(plain, hashed(plain), (WHOLE_KEY, der()), signature(plain)),
        trailed(more, hashed(more), named(), signature(more)),
        trailed(plain, hashed(plain, LONG), named(how=LONG), signature(plain, how=LONG)),
        trailed(plain, hashed(plain, LONG), (PURE, b"\1"), named(how=LONG), whole[-1]),
    ]
