"""Bytes of a contact with nothing to say, beside mutual TLS that carries the same bodies.

The product's own parts on both sides, counted in between as TLS records: HTTP and the signed
report and reply included, TCP and IP left out. The coordinator names the session in one new ticket
(79 bytes) on each connection, and both sides say goodbye; all of it is counted.

Beside it the same contacts travel through mutual TLS: a server in front of the coordinator that
asks for a certificate of the fleet's CA, once with the tickets that TLS libraries give by default,
which carry that certificate, and once with sessions kept by the server as ours does. What runs
inside is the same, so the difference is what identity by certificate would add to each contact.
"""

import argparse
import asyncio
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.core.uplink import Answered
from coordinator.keys.certificates import Authority, load_authority
from coordinator.keys.tls import server_context
from shared import limits
from shared.runtime.clock import SystemClock
from shared.sync.body import decode_body
from shared.trust.documents import REPORT_TYP, open_reply
from shared.trust.envelope import peek_payload, seal
from tests.bench.outpost import (
    HOST,
    BenchClock,
    Centre,
    Outpost,
    one_device,
    open_centre,
    open_outpost,
)
from tests.bench.tap import Tap

BUDGET = 65_536
_RUNS = 300
"""Of each signature that is timed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing can be chosen."""


def run(_options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="outstation-bench-") as folder:
        return asyncio.run(measure(Path(folder)))


async def measure(folder: Path) -> dict[str, Any]:
    """Return the figures; what is asserted of them in the test suite needs no clock."""
    async with open_centre(folder / "coordinator") as centre, Tap(centre.port) as tap:
        clock = BenchClock(SystemClock().wall_ms())
        table = one_device((), 1000)
        async with open_outpost(folder, centre, clock=clock, table=table, port=tap.port) as post:
            await contact_bytes(post, tap)  # the first has no report before it
            post.link.forget_session()
            full, resumed = await both(post, tap)
            figures: dict[str, Any] = {
                "full_bytes": full,
                "resumed_bytes": resumed,
                **await _beside_mutual_tls(folder, centre, tap, post),
                "report_bytes": len(post.link.sent),
                "reply_bytes": len(post.link.got),
                **signatures(post),
            }
    return figures


async def both(post: Outpost, tap: Tap) -> tuple[int, int]:
    """Return the bytes of a contact in a new TLS session, and of the third that resumes one."""
    full = await contact_bytes(post, tap)
    before = post.link.resumed
    sizes = [await contact_bytes(post, tap) for _ in range(3)]
    assert post.link.resumed == before + len(sizes), "every later contact resumes"
    return full, sizes[-1]


async def contact_bytes(post: Outpost, tap: Tap) -> int:
    """Make one contact on a connection of its own; return the bytes of its TLS records."""
    before = await tap.count()
    end = await post.contact.run(seal=True, wait_s=0, budget=BUDGET, keep=False)
    assert isinstance(end, Answered), end
    return (await tap.count()).since(before).stream_bytes


async def _beside_mutual_tls(
    folder: Path, centre: Centre, tap: Tap, post: Outpost
) -> dict[str, int]:
    directory = centre.place.directory
    authority = load_authority(directory.authority, directory.authority_key)
    post.link.show_certificate(client_certificate(authority, folder / "client.pem"))
    figures: dict[str, int] = {}
    for name, kept in (("mtls", False), ("mtls_kept", True)):
        context = server_context(directory)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(directory.authority)
        if not kept:
            context.options &= ~ssl.OP_NO_TICKET
        post.link.forget_session()
        async with front(context, centre) as port:
            tap.target_port = port
            full, resumed = await both(post, tap)
        figures |= {f"{name}_full_bytes": full, f"{name}_resumed_bytes": resumed}
    return figures


@asynccontextmanager
async def front(context: ssl.SSLContext, centre: Centre) -> AsyncIterator[int]:
    """Serve with `context` and hand everything on to the coordinator; gives the port."""
    inner = ssl.create_default_context(cafile=str(centre.place.directory.authority))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(HOST, centre.port, ssl=inner)
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            request += await reader.readexactly(_content_length(request))
            far_writer.write(request)
            answer = await far_reader.readuntil(b"\r\n\r\n")
            writer.write(answer + await far_reader.readexactly(_content_length(answer)))
            await reader.read()
        finally:
            for one in (writer, far_writer):
                one.close()
                with suppress(OSError):
                    await one.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    raise AssertionError(head)


def client_certificate(authority: Authority, path: Path) -> Path:
    """Make a gateway's certificate as small as they come: P-256, one name, one purpose."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "outpost-1")]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + certificate.public_bytes(Encoding.PEM))
    return path


def signatures(post: Outpost) -> dict[str, float]:
    """Return the times of signing the newest report and of verifying the newest reply."""
    report, reply = (
        decode_body(body, bound=limits.BODY_BYTES_DOWN)[0].data
        for body in (post.link.sent, post.link.got)
    )
    payload = peek_payload(report, bound=limits.REPORT_BYTES)
    root = post.enrolment.root
    return {
        "sign_us": timed_us(lambda: seal(REPORT_TYP, payload, [post.signer])),
        "verify_us": timed_us(lambda: open_reply(reply, root)),
    }


def timed_us(work: Callable[[], object]) -> float:
    """Return the median of many runs, in microseconds."""
    times = []
    for _ in range(_RUNS):
        began = time.perf_counter_ns()
        work()
        times.append(time.perf_counter_ns() - began)
    return round(median(times) / 1000, 1)
