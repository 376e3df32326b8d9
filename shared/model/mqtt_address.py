"""Where a point of a device behind an MQTT broker lives: in the last message of a topic.

Owns the ``[mqtt]`` and ``[command.NAME]`` tables of profiles and addresses of protocol ``mqtt``.
Leaves out packets (`agent.core.mqtt`) and how a value is written (`shared.model.text_form`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared import limits
from shared.ids import is_name
from shared.model.text_form import TextPlace, TextType, form_of
from shared.model.toml_text import TomlTable

VALUE: Final = "{value}"
"""Where a written value comes to stand in a payload."""
DEVICE: Final = "{device}"
"""Where the path of the port's URL comes to stand in a topic."""
ADDRESS: Final = "{address}"
"""Where the device's address comes to stand in a topic."""
_TYPES: Final[tuple[TextType, ...]] = ("number", "int", "flag", "word")
KEYS: Final = ("topic", "pointer", "type", "words", "write")
EXAMPLE: Final = '{ topic = "tele/{device}/SENSOR", pointer = "/ENERGY/Power" }'
_SECTION_KEYS: Final = ("online_topic", "online", "wait_ms", "stale_s")
_COMMAND_KEYS: Final = ("topic", "payload")
_WAIT_MS: Final = 3_000
_STALE_S: Final = 3_600
_ADDRESSES: Final = (0, 255)


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttCommand:
    """One message that writes."""

    name: str
    topic: str
    payload: str

    @property
    def canonical(self) -> list[str | int]:
        """Return what of it goes into a profile's hash."""
        return [self.name, self.topic, self.payload]


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttDialect:
    """What a profile says of its devices beside their points."""

    online_topic: str = ""
    """Where a device, or its last will, says whether it is there; empty: nobody does."""
    online: str = ""
    """What it says there while it is."""
    wait_ms: int = _WAIT_MS
    """How long the first message of a topic may let itself be waited for."""
    stale_s: int = _STALE_S
    """How old a message may be until it no longer tells how things are; 0: as old as it likes."""
    commands: tuple[MqttCommand, ...] = ()
    topics: tuple[str, ...] = ()
    """All that its points and its commands name."""

    @property
    def addresses(self) -> tuple[int, int] | None:
        """Return the lowest and the highest address; None: topics name none."""
        return _ADDRESSES if any(ADDRESS in topic for topic in self.topics) else None

    @property
    def canonical(self) -> list[str | int]:
        """Return what of it goes into a profile's hash."""
        own: list[str | int] = ["mqtt", self.online_topic, self.online, self.wait_ms, self.stale_s]
        return [*own, *(text for one in self.commands for text in one.canonical)]


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttAddress(TextPlace):
    """One point's place in a message."""

    topic: str
    pointer: str | None = None
    """Into its JSON (RFC 6901); None: the whole message is the value's text."""
    write: MqttCommand | None = None

    @property
    def writable(self) -> bool:
        """Tell whether there is a command that writes it."""
        return self.write is not None

    @property
    def place(self) -> tuple[str, ...]:
        """Return what no two points have in common."""
        return (self.topic, "" if self.pointer is None else f"at {self.pointer}")

    @property
    def canonical(self) -> list[str | int]:
        """Return what of it goes into a profile's hash."""
        write = self.write.name if self.write else ""
        return [*self.place, write, *self.form.canonical]


def filled(topic: str, *, device: str, address: int) -> str:
    """Return a topic with its slots filled.

    >>> filled("tele/{device}/{address}", device="shed", address=3)
    'tele/shed/3'
    """
    return topic.replace(DEVICE, device).replace(ADDRESS, str(address))


def is_topic(text: str) -> bool:
    """Tell whether this names one topic, and no family of them (MQTT 3.1.1, 4.7)."""
    fits = 0 < len(text) <= limits.MQTT_TOPIC_CHARS and text.isprintable()
    return fits and not set(text) & {"#", "+"} and not text.startswith("$")


def sections_of(root: TomlTable) -> dict[str, MqttDialect]:
    """Return what the profile says of its devices, under ``mqtt``.

    Raises:
        MistakeError: points at the line.
    """
    table = root.table("mqtt", _SECTION_KEYS)
    if ("online_topic" in table.values) != ("online" in table.values):
        mend = 'write online_topic = "tele/{device}/LWT" and online = "Online"'
        raise table.mistake("online_topic and online go together", mend=mend)
    online_topic = _topic(table, "online_topic") if "online_topic" in table.values else ""
    names = root.values.get("command", {})
    tables = root.table("command", tuple(names) if isinstance(names, dict) else ())
    if len(tables.values) > limits.MQTT_COMMANDS:
        raise tables.mistake(f"more than {limits.MQTT_COMMANDS} commands")
    commands = tuple(_command(name, tables.table(name, _COMMAND_KEYS)) for name in tables.values)
    dialect = MqttDialect(
        online_topic=online_topic,
        online=table.string("online", ""),
        wait_ms=table.integer("wait_ms", 0, limits.MQTT_WAIT_MS, _WAIT_MS),
        # Who says that it is there need not repeat what has not changed.
        stale_s=table.integer("stale_s", 0, limits.MQTT_STALE_S, 0 if online_topic else _STALE_S),
        commands=commands,
        topics=(*_named(root), online_topic, *(one.topic for one in commands)),
    )
    return {"mqtt": dialect}


def _named(root: TomlTable) -> list[str]:
    """Return the topics that points name, as far as they are any: mistakes are told later."""
    points = root.values.get("point")
    ats = (
        [one.get("at") for one in points if isinstance(one, dict)]
        if isinstance(points, list)
        else []
    )
    return [str(at.get("topic", "")) for at in ats if isinstance(at, dict)]


def _command(name: str, table: TomlTable) -> MqttCommand:
    if not is_name(name):
        raise table.mistake(f"{name[:60]!r} is no name")
    payload = table.string("payload", VALUE)
    if VALUE not in payload or len(payload.encode()) > limits.HTTP_BODY_SENT_BYTES:
        most = limits.HTTP_BODY_SENT_BYTES
        what = f"a payload has a {VALUE} and up to {most} bytes"
        raise table.mistake(what, key="payload")
    return MqttCommand(name=name, topic=_topic(table, "topic"), payload=payload)


def address_of(table: TomlTable, sections: Mapping[str, Any]) -> MqttAddress:
    """Return the place that an ``at`` names.

    Raises:
        MistakeError: points at the line.
    """
    dialect = sections["mqtt"]
    assert isinstance(dialect, MqttDialect), "the section of such a profile"
    commands = {one.name: one for one in dialect.commands}
    write = None
    if "write" in table.values:
        if not commands:
            raise table.mistake("the profile has no commands", mend="add a [command.NAME]")
        write = commands[table.choice("write", tuple(commands))]
    pointer = table.string("pointer") if "pointer" in table.values else None
    if pointer is not None and (
        (pointer and not pointer.startswith("/")) or len(pointer) > limits.HTTP_POINTER_CHARS
    ):
        mend = 'write pointer = "/ENERGY/Power"'
        raise table.mistake("a JSON pointer begins with a slash", key="pointer", mend=mend)
    form = form_of(table, _TYPES)
    return MqttAddress(topic=_topic(table, "topic"), pointer=pointer, form=form, write=write)


def _topic(table: TomlTable, key: str) -> str:
    text = table.string(key)
    if not is_topic(text):
        mend = f"name one topic without #, + and $, of up to {limits.MQTT_TOPIC_CHARS} characters"
        raise table.mistake(f"{text[:60]!r} is no topic", key=key, mend=mend)
    if set(text.replace(DEVICE, "").replace(ADDRESS, "")) & {"{", "}"}:
        mend = f"slots are {DEVICE} and {ADDRESS}"
        raise table.mistake(f"{key} has a brace that is no slot", key=key, mend=mend)
    return text
