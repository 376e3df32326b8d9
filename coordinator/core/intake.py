"""What a contact brings, checked before anything of it meets the database.

Owns the checks of a verified report's values and of each block's bytes. Leaves out the verdict on
a block, which needs what was stored before (`shared.sync.incoming`).
"""

import hashlib
from collections.abc import Container, Sequence

import msgspec

from shared import limits
from shared.block.codec import BlockHeader, read_header
from shared.block.schema import Schema
from shared.errors import Reason, RefusedError
from shared.ids import is_name
from shared.model.reading import SchemaRef, schema_ref
from shared.sync.body import Part, PartKind
from shared.trust.documents import Report
from shared.wire.messages import DeviceWord

EPOCH_BYTES = 16
DIGEST_BYTES = 16
HEALTH_NUMBERS = 32
"""Of a report: four times as many as there are, for agents that are newer than we."""
DEVICE_WORDS = 4 * limits.DEVICES_PER_REPORT
"""Of a report; likewise."""
_ALL = 1000
"""Thousandths."""


# Structs of msgspec: some of these are made for each contact.
class Incoming(msgspec.Struct, frozen=True):
    """One block as it came: whole and with a sound header, or with the reason why it is not."""

    data: bytes
    digest: bytes
    header: BlockHeader | None
    reason: Reason | None = None


class Letter(msgspec.Struct, frozen=True):
    """The parts of a contact's body by kind."""

    report: bytes
    blocks: tuple[bytes, ...]
    schemas: tuple[bytes, ...]


def sort_parts(parts: Sequence[Part]) -> Letter:
    """Return the parts of an agent's contact.

    Raises:
        RefusedError: BODY_MALFORMED: it does not begin with its only report, or contains what
            only a coordinator sends.
    """
    if not parts or parts[0].kind is not PartKind.REPORT:
        raise RefusedError(Reason.BODY_MALFORMED, "a contact begins with its report")
    rest = parts[1:]
    blocks = tuple([part.data for part in rest if part.kind is PartKind.BLOCK])
    schemas = tuple([part.data for part in rest if part.kind is PartKind.SCHEMA])
    if len(blocks) + len(schemas) < len(rest):
        raise RefusedError(Reason.BODY_MALFORMED, "after the report come blocks and schemas only")
    return Letter(parts[0].data, blocks, schemas)


def check_report(report: Report, *, fleet: bytes) -> None:
    """Check what a report's types leave open.

    Raises:
        RefusedError: WRONG_FLEET, or BAD_SCHEMA with the member at fault.
    """
    if report.fleet != fleet:
        raise RefusedError(Reason.WRONG_FLEET)
    if not len(report.telemetry_epoch) == len(report.jobs_epoch) == EPOCH_BYTES:
        raise RefusedError(Reason.BAD_SCHEMA, "a store epoch has 16 bytes")
    if len(report.boot_id) > EPOCH_BYTES:
        raise RefusedError(Reason.BAD_SCHEMA, "a boot id has at most 16 bytes")
    tally = report.tally
    counts = (tally.sampled, tally.suppressed, tally.delivered, tally.stored, tally.lost)
    counted = (*counts, *(row.count for row in report.ledger), *report.refusals.values())
    if min(counted) < 0 or report.counter < 0:
        raise RefusedError(Reason.BAD_SCHEMA, "a count is negative")
    if len(report.health) > HEALTH_NUMBERS or any(one < 0 for one in report.health):
        raise RefusedError(Reason.BAD_SCHEMA, "health is a few numbers from 0 up")
    if report.devices is not None:
        _check_words(report.devices)
    numbers = (
        report.next_block,
        *(block.seq for block in report.blocks),
        *(receipt.number for receipt in report.receipts),
        *(row.number for row in report.ledger),
    )
    if min(numbers) < 1:
        raise RefusedError(Reason.BAD_SCHEMA, "numbers begin at 1")


def _check_words(words: Sequence[DeviceWord]) -> None:
    """Check that what is said of devices is little, and each of another one."""
    names = {one.device for one in words}
    if len(words) > DEVICE_WORDS or len(names) < len(words):
        raise RefusedError(Reason.BAD_SCHEMA, "devices are a few, each named once")
    if not all(map(is_name, names)):
        raise RefusedError(Reason.BAD_SCHEMA, "a device has no such name")
    if any(one.silent_s < -1 or not -1 <= one.image_permille <= _ALL for one in words):
        raise RefusedError(Reason.BAD_SCHEMA, "what is said of a device is out of range")


def examine_blocks(blocks: Sequence[bytes], report: Report) -> list[Incoming]:
    """Return each block with its header, or with what is wrong with it; pure.

    Bytes that the report does not vouch for are not even read. Columns are decoded by whoever
    looks at them, rollups first: what the checksum vouches for is what the agent made, and
    sending it again would bring the same.
    """
    announced = {block.digest for block in report.blocks}
    return [_examine(data, announced) for data in blocks]


def block_digest(data: bytes) -> bytes:
    """Return how a report announces a block: the first 16 bytes of sha256."""
    return hashlib.sha256(data).digest()[:DIGEST_BYTES]


def examine_schemas(parts: Sequence[bytes], report: Report) -> list[tuple[SchemaRef, bytes]]:
    """Return (reference, bytes) of every sound schema that the report vouches for.

    Others are ignored: a block names its schema by a few bytes of a hash, so whoever carries a
    contact could make another list that they fit, and rename what a site measures. An unsound one
    is asked for again, because blocks that refer to it wait for it.
    """
    sound = []
    vouched = set(report.schemas)
    for data in parts:
        if hashlib.sha256(data).digest() not in vouched:
            continue
        try:
            sound.append((schema_ref(Schema.decode(data).hash), data))
        except RefusedError:
            continue
    return sound


def _examine(data: bytes, announced: Container[bytes]) -> Incoming:
    digest = block_digest(data)
    if digest not in announced:
        return Incoming(data, digest, None, Reason.BLOCK_NOT_ANNOUNCED)
    try:
        header = read_header(data)
    except RefusedError as error:
        return Incoming(data, digest, None, error.reason)
    # A block may say any number of 64 bits; what is kept must fit SQLite and JSON.
    numbers = (header.seq, abs(header.first_ms), abs(header.last_ms), header.err_ms)
    if header.seq < 1 or max(numbers) > limits.INT_MAX:
        return Incoming(data, digest, None, Reason.BLOCK_MALFORMED)
    return Incoming(data, digest, header)
