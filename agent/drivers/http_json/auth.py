"""Who asks: Basic (RFC 7617), Digest (RFC 7616: MD5 and SHA-256, qop=auth) and Bearer (RFC 6750).

Owns challenges and answers to them. Pure: the client's nonce is an argument. Leaves out where the
secret lies (`agent.buses.http`) and asking again (`driver`).
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

Scheme = Literal["MD5", "SHA-256"]
_HASHES: Final[dict[str, Scheme]] = {"MD5": "MD5", "SHA-256": "SHA-256"}
_PARAMETER: Final = re.compile(r'([A-Za-z]{1,20})=(?:"((?:[^"\\]|\\.){0,500})"|([^\s",]{1,200}))')


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What a device wants proven."""

    realm: str
    nonce: str
    scheme: Scheme = "MD5"
    opaque: str | None = None
    auth: bool = True
    """It counts uses of its nonce (qop=auth); RFC 2069's devices do not."""
    stale: bool = False
    """Only the nonce was old; name and password were right."""


def challenge_of(texts: Iterable[str]) -> Challenge | None:
    """Return the best challenge among ``WWW-Authenticate`` fields that can be met.

    >>> challenge_of(['Digest realm="relay", nonce="5f", algorithm=SHA-256, qop="auth"'])
    Challenge(realm='relay', nonce='5f', scheme='SHA-256', opaque=None, auth=True, stale=False)
    """
    found: list[Challenge] = []
    for text in texts:
        kind, _, rest = text.strip().partition(" ")
        if kind.lower() != "digest":
            continue
        values = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(rest)}
        scheme = _HASHES.get(values.get("algorithm", "MD5").upper())
        qops = {one.strip().lower() for one in values.get("qop", "").split(",")} - {""}
        if scheme is None or "nonce" not in values or (qops and "auth" not in qops):
            continue
        if any(_unsafe(value) for value in values.values()):
            continue
        found.append(
            Challenge(
                realm=values.get("realm", ""),
                nonce=values["nonce"],
                scheme=scheme,
                opaque=values.get("opaque"),
                auth=bool(qops),
                stale=values.get("stale", "").lower() == "true",
            )
        )
    return max(found, key=lambda one: one.scheme == "SHA-256", default=None)


def basic(secret: str) -> str:
    """Return the field's text for ``NAME:PASSWORD``."""
    return f"Basic {b64encode(secret.encode()).decode()}"


def digest(
    challenge: Challenge, secret: str, *, method: str, target: str, count: int, client_nonce: str
) -> str:
    """Return the field's text for ``NAME:PASSWORD``, at the `count`-th use of a nonce."""
    name, _, password = secret.partition(":")
    one = _hash(challenge, f"{name}:{challenge.realm}:{password}")
    two = _hash(challenge, f"{method}:{target}")
    uses = f"{count:08x}"
    middle = f"{uses}:{client_nonce}:auth:" if challenge.auth else ""
    response = _hash(challenge, f"{one}:{challenge.nonce}:{middle}{two}")
    parts = [
        f'username="{_quoted(name)}"',
        f'realm="{challenge.realm}"',
        f'nonce="{challenge.nonce}"',
        f'uri="{target}"',
        f"algorithm={challenge.scheme}",
        f'response="{response}"',
    ]
    if challenge.auth:
        parts += ["qop=auth", f"nc={uses}", f'cnonce="{client_nonce}"']
    if challenge.opaque is not None:
        parts.append(f'opaque="{challenge.opaque}"')
    return f"Digest {', '.join(parts)}"


def _hash(challenge: Challenge, text: str) -> str:
    name = "sha256" if challenge.scheme == "SHA-256" else "md5"
    return hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _unsafe(text: str) -> bool:
    """Tell whether a text would end a quoted one, or a line, when it is given back."""
    return not text.isprintable() or not text.isascii() or '"' in text or "\\" in text
