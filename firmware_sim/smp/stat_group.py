"""SMP group 2: statistics; a sensor node shows its measurements and its own state there.

Group `sensors` holds one whole number per point, scaled as its register would be (a soil moisture
of 0.231 with scale -3 is 231); group `node` what the board knows of itself. Written from Zephyr's
"Statistics management".
"""

from enum import IntEnum

from firmware_sim.device import Device
from firmware_sim.model import Point
from firmware_sim.smp.board import Board
from firmware_sim.smp.packet import Fields, Payload, Rc, RefusalError
from shared.clock import MonoMs

GROUP = 2


class StatRc(IntEnum):
    """The group's own refusals."""

    INVALID_GROUP = 2


class StatGroup:
    """The commands of group 2."""

    def __init__(self, board: Board, sensors: Device) -> None:
        self._board, self._sensors = board, sensors
        self._polls = 0
        self.counted = True
        """The answer will arrive, so that this read counts as one."""

    def show(self, fields: Fields, now_ms: MonoMs) -> Payload:
        """Return one group's values (command 0, read)."""
        match name := fields.text("name"):
            case "sensors":
                self._polls = self._polls + self.counted & 0xFFFF_FFFF
                shown = {point.name: self._shown(point) for point in self._sensors.points}
            case "node":
                shown = {
                    "boots": self._board.boots,
                    "uptime_ms": self._board.uptime_ms(now_ms),
                    "self_check": int(self._board.firmware.self_check),
                }
            case _:
                raise RefusalError(StatRc.INVALID_GROUP, group=GROUP, plain=Rc.INVALID)
        return {"name": name, "fields": shown}

    def names(self, _: Fields) -> Payload:
        """Return the groups' names (command 1, read)."""
        return {"stat_list": ["sensors", "node"]}

    def _shown(self, point: Point) -> int:
        if point.is_poll_count:
            return self._polls
        value = self._sensors.value(point, self._board.time.now_s())
        return round(value * 10.0**-point.scale)
