"""SMP group 3: settings, which are bytes under names; two of a sensor node's that can be changed.

Owns their values, which are lost at a reset unless they were saved. Written from Zephyr's "Settings
(config) management".
"""

from enum import IntEnum

from firmware_sim.smp.packet import Fields, Payload, Rc, RefusalError

GROUP = 3
_FIRST = {
    "sensor/interval": (60).to_bytes(4, "little"),
    "sensor/offset": (-5).to_bytes(2, "little", signed=True),
}
_NAME_CHARS = 32
"""Zephyr's default for the longest name."""


class SettingsRc(IntEnum):
    """The group's own refusals."""

    KEY_TOO_LONG = 2
    KEY_NOT_FOUND = 3
    ROOT_KEY_NOT_FOUND = 5
    WRITE_NOT_SUPPORTED = 6


def _refusal(rc: SettingsRc, plain: Rc) -> RefusalError:
    return RefusalError(rc, group=GROUP, plain=plain)


class SettingsGroup:
    """The commands of group 3."""

    def __init__(self) -> None:
        self._saved = dict(_FIRST)
        self._values = dict(_FIRST)

    def forget(self) -> None:
        """Go back to what was saved: the board was reset."""
        self._values = dict(self._saved)

    def read(self, fields: Fields) -> Payload:
        """Return a setting's bytes (command 0, read)."""
        value, most = self._values[_name(fields)], fields.number("max_size")
        return {"val": value if most is None else value[:most]}

    def write(self, fields: Fields) -> Payload:
        """Give a setting other bytes, as many as it has (command 0, write)."""
        name, value = _name(fields), fields.data("val")
        if value is None:
            raise RefusalError(Rc.INVALID)
        if len(value) != len(_FIRST[name]):
            raise _refusal(SettingsRc.WRITE_NOT_SUPPORTED, Rc.INVALID)
        self._values[name] = value
        return {}

    def commit(self, _: Fields) -> Payload:
        """Do nothing: what is written is in force (command 2, write)."""
        return {}

    def load(self, _: Fields) -> Payload:
        """Go back to what was saved (command 3, read)."""
        self.forget()
        return {}

    def save(self, _: Fields) -> Payload:
        """Keep what is in force through resets (command 3, write)."""
        self._saved = dict(self._values)
        return {}


def _name(fields: Fields) -> str:
    name = fields.text("name")
    if not name:
        raise RefusalError(Rc.INVALID)
    if len(name) > _NAME_CHARS:
        raise _refusal(SettingsRc.KEY_TOO_LONG, Rc.INVALID)
    if name in _FIRST:
        return name
    root = name.partition("/")[0]
    known = any(one.partition("/")[0] == root for one in _FIRST)
    rc = SettingsRc.KEY_NOT_FOUND if known else SettingsRc.ROOT_KEY_NOT_FOUND
    raise _refusal(rc, Rc.NO_ENTRY)
