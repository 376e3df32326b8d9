"""The way to the coordinator, looked at step by step: name, route, TCP, TLS, its certificate.

Owns the steps and what each one's failure usually means at a site. It sends no report: the agent
that runs meanwhile is not disturbed. Leaves out contacts (`agent.services.contact_http`).
"""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing

from agent.core.doctor import Finding, fail, ok, warn
from agent.services.endpoint import Endpoint, parse_url
from agent.services.http_connection import tls_context
from agent.services.identity import Enrolment
from shared.errors import MistakeError

PATIENCE_S = 10
_SOON_DAYS = 14
_DAY_S = 86_400


def look_at_link(enrolment: Enrolment, *, now_s: float) -> Iterator[Finding]:
    """Yield what each step to the coordinator finds; a step that fails is the last one."""
    try:
        endpoint = parse_url(enrolment.url, where="the enrolment")
    except MistakeError as error:
        yield fail("address", error.what, where=error.where, mend=error.mend)
        return
    addresses = _resolve(endpoint)
    if isinstance(addresses, Finding):
        yield addresses
        return
    yield ok("name", f"{endpoint.host} is {addresses[0][0]}")
    sock = _connect(endpoint, addresses)
    if isinstance(sock, Finding):
        yield sock
        return
    with closing(sock):
        yield ok("tcp", f"{endpoint.name} in {_took_ms(sock)} ms")
        if endpoint.tls:
            yield from _greet(endpoint, enrolment, sock, now_s)


def _resolve(endpoint: Endpoint) -> list[tuple[str, int]] | Finding:
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except OSError as error:
        return fail(
            "name",
            f"{endpoint.host} has no address ({error.strerror or error})",
            where="the name servers of this box",
            mend="is the modem up? try: getent hosts " + endpoint.host,
        )
    return [(str(address[0]), int(address[1])) for *_, address in found]


def _connect(endpoint: Endpoint, addresses: list[tuple[str, int]]) -> socket.socket | Finding:
    said = ""
    for address in addresses:
        try:
            sock = socket.create_connection(address, PATIENCE_S)
        except OSError as error:
            said = error.strerror or str(error)
            continue
        return sock
    meant = {
        "Network is unreachable": "this box has no route: is the modem up, is there a default?",
        "Connection refused": "the coordinator does not run there, or the port is another one",
    }
    return fail(
        "tcp",
        f"no connection ({said})",
        where=endpoint.name,
        mend=meant.get(said, "a firewall may drop port " + str(endpoint.port)),
    )


def _took_ms(sock: socket.socket) -> int:
    """Return the round trip as the kernel measured it with the handshake."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    # tcpi_rtt in `struct tcp_info` (linux/tcp.h), microseconds.
    return int.from_bytes(info[68:72], "little") // 1000


def _greet(
    endpoint: Endpoint, enrolment: Enrolment, sock: socket.socket, now_s: float
) -> Iterator[Finding]:
    sock.settimeout(PATIENCE_S)
    try:
        context = tls_context(enrolment.ca_pem, where="the enrolment")
        began_s = time.monotonic()
        with context.wrap_socket(sock, server_hostname=endpoint.host) as tls:
            took_ms = round((time.monotonic() - began_s) * 1000)
            yield ok("tls", f"{tls.version()} in {took_ms} ms")
            yield _certificate(tls, now_s)
    except MistakeError as error:
        yield fail("tls", error.what, where=error.where, mend=error.mend)
    except ssl.SSLCertVerificationError as error:
        yield fail(
            "tls",
            f"whoever answers is not the coordinator: {error.verify_message}",
            where=endpoint.name,
            mend="a portal or proxy in between? another coordinator? enrol again with its claim",
        )
    except TimeoutError:
        yield fail(
            "tls",
            f"silent for {PATIENCE_S} s",
            where=endpoint.name,
            mend="TCP works and larger packets vanish: try a smaller MTU on the modem",
        )
    except (OSError, ValueError) as error:
        yield fail(
            "tls",
            f"no TLS there ({getattr(error, 'reason', None) or error})",
            where=endpoint.name,
            mend="is this the coordinator's port?",
        )


def _certificate(tls: ssl.SSLSocket, now_s: float) -> Finding:
    found = tls.getpeercert() or {}
    ends = str(found.get("notAfter", ""))
    left_days = int((ssl.cert_time_to_seconds(ends) - now_s) // _DAY_S)
    if left_days < _SOON_DAYS:
        return warn(
            "certif.",
            f"ended {-left_days} days ago" if left_days < 0 else f"ends in {left_days} days",
            where="the coordinator's certificate",
            mend="a coordinator that runs renews it; is this box's date right?",
        )
    return ok("certif.", f"good for {left_days} days")
