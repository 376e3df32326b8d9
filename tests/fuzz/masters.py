"""What the agent hears from devices and reads in images, under hostile bytes: SMP, Modbus, MCUboot.

Answers that are none pass silently or are refused; however bytes are cut, the same comes out.
"""

from collections.abc import Callable, Sequence

import cbor2

from agent.core.firmware_image import check_image
from agent.drivers.modbus import codec as modbus
from agent.drivers.modbus.identify import IdentifyQuery
from agent.drivers.smp import console
from agent.drivers.smp.burst import Burst
from agent.drivers.smp.client import _slots
from agent.drivers.smp.codec import Dialect, Ear, Framing, Question
from agent.drivers.smp.packet import IMAGE_GROUP, READ, V2, Refusal, Request
from firmware_sim import mcuboot
from shared import limits
from shared.errors import Reason, RefusedError, WorldError
from shared.model.mcuboot import Kind, read_header, read_image, read_trailer
from tests.fuzz import smp
from tests.fuzz.cutting import pieces as cut_up
from tests.smp_parts import HEAD, KEY, image, lines_of

_LIST = Request(READ, IMAGE_GROUP, 0, {})
_SEQUENCE, _UNIT, _TRANSACTION = 7, 3, 9
_FIRST = image(size=3_000)
_CONSOLE = Dialect(framing=Framing.CONSOLE, version=V2, unit=0)
_DATAGRAM = Dialect(framing=Framing.DATAGRAM, version=V2, unit=0)
_SLOT = {"slot": 0, "version": "1.0.0", "hash": bytes(32), "active": True, "confirmed": True}


def _answer(values: object, *, op: int = READ + 1, command: int = 0) -> bytes:
    payload = cbor2.dumps(values)
    head = HEAD.pack(1 << 3 | op, 0, len(payload), IMAGE_GROUP, _SEQUENCE, command)
    return head + payload


# --- SMP ----------------------------------------------------------------------------------------
def smp_answer(data: bytes) -> None:
    """One datagram: what a list of images says is a list of images."""
    question = Question(_LIST, _DATAGRAM, sequence=_SEQUENCE, repeatable=True, answer_bytes=0)
    reply = question.feed(data)
    if reply is None:
        raise RefusedError(Reason.DEVICE_BAD_FRAME, "no answer")
    if isinstance(reply, Refusal):
        assert reply.text.isprintable()
        return
    try:
        slots = _slots(reply)
    except WorldError as error:
        raise RefusedError(error.reason, error.detail) from error
    for slot in slots:
        assert len(slot.version) <= limits.VERSION_CHARS


def smp_console(data: bytes) -> None:
    """A stream of a console; what is left of it must not hide a good answer."""
    whole = Ear(Framing.CONSOLE)
    found = [one.sequence for one in whole.hear(data)]
    ear = Ear(Framing.CONSOLE)
    cut = [one.sequence for piece in cut_up(data) for one in ear.hear(piece)]
    assert found == cut, "it depends on how it was cut"
    good = list(whole.hear(b"\n" + console.frame(_answer({"images": [_SLOT]}))))
    assert good[-1].sequence == _SEQUENCE


def smp_burst(data: bytes) -> None:
    """What a device says of pieces on their way: the burst ends or waits, and is never longer."""
    numbers = iter(range(1, 1_000))
    burst = Burst(_FIRST, _CONSOLE, offset=0, piece=512, window=3, sequence=lambda: next(numbers))
    sent = [burst.frame, *burst.following()]
    for at in range(0, len(data), 200):
        ended = burst.feed(data[at : at + 200])
        if ended is not None:
            assert ended.offset >= 0
            return
        sent += burst.following()
    assert len(sent) <= limits.SMP_BURST


def answers() -> Sequence[bytes]:
    """Lists, a refusal of either version."""
    return [
        _answer({"images": [_SLOT, _SLOT | {"slot": 1, "active": False, "pending": True}]}),
        _answer({"rc": 8}),
        _answer({"err": {"group": IMAGE_GROUP, "rc": 12}}),
    ]


def streams() -> Sequence[bytes]:
    """Answers as a console carries them, chatter between them."""
    return [b"booted\r\n" + b"[00:00] <inf>\r\n".join(map(lines_of, answers()))]


def pieces() -> Sequence[bytes]:
    """The answers to three pieces."""
    found = []
    for number in range(3):
        payload = cbor2.dumps({"off": 512 * (number + 1)})
        head = HEAD.pack(1 << 3 | 3, 0, len(payload), IMAGE_GROUP, number + 1, 1)
        found.append(lines_of(head + payload))
    return [b"".join(found)]


# --- MCUboot ------------------------------------------------------------------------------------
def firmware(data: bytes) -> None:
    """An image; what is believed a bootloader will take, and nothing is behind it."""
    header = read_header(data)
    if header is not None:
        read_trailer(data[header.trailer_at :])
    found = read_image(data)
    check_image(found, key=KEY.public_key().public_bytes_raw())
    build = mcuboot.Build(sha512=found.hashed_by is Kind.SHA512)
    assert mcuboot.read_image(data, build).size == len(data)
    try:
        smp.mcuboot(data)
    except RefusedError as error:
        raise AssertionError(f"sent, and then refused: {error.detail}") from error


def images() -> Sequence[bytes]:
    """What bootloaders believe."""
    return smp.images()


# --- Modbus -------------------------------------------------------------------------------------
_QUERIES: tuple[modbus.Question[object], ...] = (
    modbus.read("input", 0, 3),
    modbus.read("coil", 0, 9),
    modbus.write("holding", 100, [7]),
    modbus.write("holding", 100, [7, 8]),
    IdentifyQuery(),
)


def _fed(make: Callable[[], modbus.AnswerDecoder[object]], data: bytes) -> object:
    found = make().feed(data)
    decoder = make()
    for piece in cut_up(data):
        answer = decoder.feed(piece)
        if answer is not None:
            return answer
    return found


def modbus_answer(data: bytes) -> None:
    """An answer on a serial line and on a stream, to whatever was asked."""
    found = []
    for framing in modbus.Framing:
        for query in _QUERIES:

            def make(
                framing: modbus.Framing = framing, query: modbus.Question[object] = query
            ) -> modbus.AnswerDecoder[object]:
                return modbus.decoder(framing, query, unit=_UNIT, transaction=_TRANSACTION)

            try:
                answer = _fed(make, data)
            except RefusedError:
                continue
            if isinstance(answer, list):
                assert len(answer) <= 9
            found.append(answer)
    if all(answer is None for answer in found):
        raise RefusedError(Reason.DEVICE_BAD_FRAME, "no answer")


def modbus_answers() -> Sequence[bytes]:
    """Reads, a confirmed write, an exception; as RTU and as TCP."""
    pdus = [
        bytes.fromhex("0406000100020003"),
        bytes.fromhex("01020101"),
        bytes.fromhex("0600640007"),
        bytes.fromhex("1000640002"),
        bytes.fromhex("8402"),
        bytes.fromhex("2b0e0101000001") + bytes.fromhex("000461636d65"),
    ]
    rtu = [modbus._RTU.encode(pdu, _UNIT, 0) for pdu in pdus]
    return rtu + [modbus._TCP.encode(pdu, _UNIT, _TRANSACTION) for pdu in pdus]
