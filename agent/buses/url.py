"""A port's URL as a person wrote it, read part by part; every fault names its mend.

Owns the syntax common to all schemes. Leaves out which parts a scheme has (`serial`, `tcp`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from agent.core.ports import BusSettings
from shared.errors import MistakeError, nearest


@dataclass(frozen=True, slots=True)
class PortUrl:
    """``SCHEME://HOST:PORT/PATH?KEY=VALUE&...``."""

    bus: str
    scheme: str
    host: str
    port: int | None
    path: str
    options: dict[str, str]

    def mistake(self, what: str, mend: str = "") -> MistakeError:
        """Return a complaint that names the bus."""
        return MistakeError(what, where=f"bus {self.bus}", mend=mend)

    def number(self, key: str, low: int, high: int) -> int:
        """Return a required option that is a whole number."""
        text = self.options.get(key, "")
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            raise self.mistake(
                f"{key} = {text!r} is not a number", f"write {key}=9600, for example"
            )
        if not low <= int(text) <= high:
            raise self.mistake(f"{key} = {text} is not from {low} to {high}")
        return int(text)

    def choice(self, key: str, choices: Sequence[str], default: str) -> str:
        """Return an option that is one of a few."""
        text = self.options.get(key, default)
        if text not in choices:
            raise self.mistake(f"{key} cannot be {text!r}", f"it is one of {', '.join(choices)}")
        return text


def parse_url(settings: BusSettings, options: Sequence[str]) -> PortUrl:
    """Return the parts of a bus' URL, in which only `options` may stand after the question mark.

    Raises:
        MistakeError: it is no URL, or has a part that no port has.
    """
    try:
        parts = urlsplit(settings.url)
        pairs = parse_qsl(parts.query, strict_parsing=bool(parts.query), keep_blank_values=True)
        url = PortUrl(
            settings.name, parts.scheme, parts.hostname or "", parts.port, parts.path, dict(pairs)
        )
    except ValueError as error:
        raise MistakeError(
            f"{settings.url!r} is no port: {error}", where=f"bus {settings.name}"
        ) from None
    if parts.fragment or parts.username or parts.password or len(pairs) != len(url.options):
        raise url.mistake(f"{settings.url!r} has parts that no port has")
    for key in url.options:
        if key not in options:
            close = nearest(key, options)
            known = f"known are {', '.join(options)}" if options else "it has none"
            raise url.mistake(
                f"unknown option {key!r} in the URL",
                f"did you mean {close!r}?" if close else known,
            )
    return url
