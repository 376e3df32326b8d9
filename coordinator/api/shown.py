"""What a gateway's connection showed in TLS. What is asked of it is judged elsewhere.

The judging stands in `coordinator.core.client_certificates`.
"""

from asyncio import BaseTransport
from ssl import SSLObject, cert_time_to_seconds
from typing import cast

from aiohttp import web

from coordinator.core.client_certificates import Shown


def shown_by(request: web.Request) -> Shown | None:
    """Return what the certificate of a request's connection says, None where it showed none."""
    return shown_on(request.transport)


def shown_on(line: BaseTransport | None) -> Shown | None:
    """Return what the certificate of a connection says, None where it showed none."""
    tls = None if line is None else line.get_extra_info("ssl_object")
    found = tls.getpeercert() if isinstance(tls, SSLObject) else None
    if not found:
        return None
    # `ssl` types this loosely: a name is a tuple of parts, each a tuple of pairs.
    subject = cast("tuple[tuple[tuple[str, str], ...], ...]", found.get("subject", ()))
    names = [value for part in subject for key, value in part if key == "commonName"]
    ends_ms = cert_time_to_seconds(str(found["notAfter"])) * 1000
    return Shown(names[0] if names else "", ends_ms)
