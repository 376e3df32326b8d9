"""Where the coordinator is and how to be let in: a file, the environment, or both.

The file is the ``admin.toml`` that `outstation-coordinator init` writes: `url`, `token`, `ca`
(PEM text). It is looked for at ``--config``, ``$OUTSTATION_CONFIG``, then
``~/.config/outstation/admin.toml``. ``OUTSTATION_URL``, ``OUTSTATION_TOKEN`` and
``OUTSTATION_CA`` (a PEM file) override single values.
"""

import os
import ssl
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from shared import limits
from shared.errors import MistakeError

_KEYS = frozenset({"url", "token", "ca"})


@dataclass(frozen=True, slots=True)
class Access:
    """One coordinator, as one admin reaches it."""

    host: str
    port: int
    tls: ssl.SSLContext
    token: str

    def __repr__(self) -> str:
        """Leave the token out."""
        return f"Access({self.host}:{self.port})"


def find_access(config: Path | None, environment: Mapping[str, str]) -> Access:
    """Return how to reach the coordinator.

    Raises:
        MistakeError: a value is missing or unusable; the sentence names where it was looked for.
    """
    path = config or _named(environment)
    values = _read(path) if path is not None else {}
    for key, variable in (("url", "OUTSTATION_URL"), ("token", "OUTSTATION_TOKEN")):
        if environment.get(variable):
            values[key] = environment[variable]
    if environment.get("OUTSTATION_CA"):
        values["ca"] = _text(Path(environment["OUTSTATION_CA"]))
    for key in ("url", "token"):
        if key not in values:
            raise MistakeError(
                f"no {key} is known",
                where=str(path) if path else "",
                mend=f"pass --config DIR/admin.toml, or set OUTSTATION_{key.upper()}",
            )
    host, port = _address(values["url"])
    return Access(host, port, _tls(values.get("ca")), values["token"])


def _named(environment: Mapping[str, str]) -> Path | None:
    if named := environment.get("OUTSTATION_CONFIG"):
        return Path(named)
    base = environment.get("XDG_CONFIG_HOME") or os.path.join(  # noqa: PTH118
        environment.get("HOME", "/"), ".config"
    )
    usual = Path(base) / "outstation" / "admin.toml"
    return usual if usual.exists() else None


def _read(path: Path) -> dict[str, str]:
    try:
        document = tomllib.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise MistakeError(f"it is not TOML: {error}", where=str(path)) from None
    strange = sorted(set(document) - _KEYS)
    if strange or not all(isinstance(value, str) for value in document.values()):
        raise MistakeError(
            f"it holds {', '.join(strange) or 'something that is no text'}",
            where=str(path),
            mend="only url, token and ca belong there, each as text",
        )
    return {key: str(value) for key, value in document.items()}


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(limits.CONFIG_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise MistakeError(f"it cannot be read: {reason}", where=str(path)) from None


def _address(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or urlsplit(url).scheme != "https":
        raise MistakeError(
            f"{url!r} is no URL of a coordinator", where="url", mend="write https://HOST:PORT"
        )
    return host, port or 443


def _tls(ca: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=ca)
    except ssl.SSLError:
        raise MistakeError("it is no certificate in PEM form", where="ca") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context
