"""Which requests read a set of points: as few as the device's limits allow.

Owns merging of neighbours and taking a refused merge apart. Pure. On a slow line a request costs
more than a few registers read for nothing: at 9600 baud, two requests are 16 bytes and two
turnarounds, a gap of 8 registers is 16 bytes.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from shared.model.profile import Point, RequestLimits
from shared.model.registers import BIT_TABLES, Table

_READ_BYTES = 8
"""Unit, function, address, count, checksum (Modbus over Serial Line V1.02, 2.5.1)."""
_ANSWER_BYTES = 5
"""Unit, function, byte count, checksum: what an answer has beside its data."""


@dataclass(frozen=True, slots=True)
class Block:
    """One request's worth of neighbours."""

    table: Table
    address: int
    count: int
    points: tuple[Point, ...]
    """In the order of their addresses."""

    def words_of(self, point: Point, words: list[int]) -> list[int]:
        """Return the registers of one of its points out of the block's answer."""
        start = point.register.address - self.address
        return words[start : start + point.register.count]


def plan(points: Iterable[Point], request_limits: RequestLimits) -> list[Block]:
    """Return the fewest blocks that cover every point once, in the order of tables and addresses.

    Taking the lowest point and all that still fits is optimal: points do not overlap.
    """
    blocks: list[Block] = []
    run: list[Point] = []
    for point in sorted(points, key=lambda point: (point.register.table, point.register.address)):
        if run and not _joins(run, point, request_limits):
            blocks.append(_block(run))
            run = []
        run.append(point)
    if run:
        blocks.append(_block(run))
    return blocks


def frame_bytes(block: Block) -> tuple[int, int]:
    """Return the bytes of the RTU frames that read a block: request and answer (V1.02, 2.5.1)."""
    data = (block.count + 7) // 8 if block.table in BIT_TABLES else 2 * block.count
    return _READ_BYTES, _ANSWER_BYTES + data


def split(block: Block, request_limits: RequestLimits) -> list[Block]:
    """Return smaller blocks for one that the device refuses, or nothing if it is a single point.

    First without the gaps, which may be registers that do not exist; then point by point.
    """
    if len(block.points) == 1:
        return []
    gapless = RequestLimits(max_registers=request_limits.max_registers, max_gap=0)
    blocks = plan(block.points, gapless)
    return blocks if len(blocks) > 1 else [_block([point]) for point in block.points]


def _joins(run: list[Point], point: Point, request_limits: RequestLimits) -> bool:
    first, last = run[0].register, run[-1].register
    most = request_limits.max_registers
    if first.table in BIT_TABLES:
        most *= 16
    return (
        point.register.table == first.table
        and point.register.address - last.end <= request_limits.max_gap
        and point.register.end - first.address <= most
    )


def _block(run: list[Point]) -> Block:
    first, last = run[0].register, run[-1].register
    return Block(first.table, first.address, last.end - first.address, tuple(run))
