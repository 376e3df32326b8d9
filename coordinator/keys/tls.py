"""TLS as the coordinator serves it, and the certificates that it gives to agents."""

import ssl
from collections.abc import Callable

from cryptography.hazmat.primitives.serialization import Encoding

from coordinator.core.client_certificates import Demand
from coordinator.keys.certificates import issue_client, load_authority
from coordinator.keys.directory import DataDirectory
from shared.clock import WallMs
from shared.ids import AgentId

_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME (openssl/x509_vfy.h), which `ssl` has no name for."""

Issue = Callable[[bytes, AgentId, WallMs], bytes]
"""Makes the DER of a client certificate for a public key and an agent; empty: none is issued."""


def issue_nothing(_key: bytes, _agent: AgentId, _now_ms: WallMs) -> bytes:
    """Issue no client certificates."""
    return b""


def issuer(directory: DataDirectory) -> Issue:
    """Return what makes agents' certificates, with the fleet's CA.

    Raises:
        MistakeError: the CA's files cannot be used.
    """
    authority = load_authority(directory.authority, directory.authority_key)

    def issue(key: bytes, agent: AgentId, now_ms: WallMs) -> bytes:
        made = issue_client(authority, key, name=agent, now_ms=now_ms)
        return made.public_bytes(Encoding.DER)

    return issue


def server_context(directory: DataDirectory, demand: Demand = Demand.OFF) -> ssl.SSLContext:
    """Return the context of the server; gateways may be asked for certificates of the CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # One ticket is enough to resume the next contact; the second would be bytes for nothing. It
    # names a session kept here instead of carrying all of it (RFC 8446, 4.6.1): that saves some
    # 170 bytes whenever it is given, and again whenever it is used.
    context.num_tickets = 1
    context.options |= ssl.OP_NO_TICKET
    context.load_cert_chain(directory.server)
    if demand is not Demand.OFF:
        # Optional in TLS even where contacts need one: people and boxes that enrol have none. That
        # it is over is said in words: a box that slept for months gets the next one that way.
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= _NO_CHECK_TIME
        context.load_verify_locations(directory.authority)
    return context
