"""The fleet's own certificate authority and the server's certificate: TLS for agents and people.

P-256, because a resumed TLS 1.3 contact costs the same as with Ed25519 and every client knows it.
Certificates are valid from 1970 on: a gateway whose clock starts there must still reach the
coordinator that tells it the time. Leaves out TLS itself (`coordinator.app`).
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from coordinator.keys.file_keys import read_secret
from shared.clock import WallMs
from shared.errors import MistakeError
from shared.runtime.files import write_atomically

CA_DAYS = 3_653
SERVER_DAYS = 397
"""What browsers accept; `run` renews by itself."""
CLIENT_DAYS = 90
"""Of an agent's certificate; it asks for the next one when a third of that is left."""
RENEW_DAYS = 30
"""The server's certificate is renewed when less than this is left of it."""

_FROM = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_HOST = re.compile(r"(?:\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")


@dataclass(frozen=True, slots=True)
class Authority:
    """The fleet's CA: its certificate, and the key that signs server certificates."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """Return the certificate as PEM."""
        return self.certificate.public_bytes(Encoding.PEM)


def create_authority(certificate: Path, key: Path, *, name: str, now_ms: WallMs) -> Authority:
    """Make a CA and write its files, the key readable by its owner only.

    Raises:
        OSError: a file cannot be written.
    """
    secret = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = _usage(sign_certificates=True)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_time(now_ms) + CA_DAYS * _DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(_subject_key(secret.public_key()), critical=False)
        .sign(secret, hashes.SHA256())
    )
    write_atomically(key, _pem(secret), mode=0o600)
    write_atomically(certificate, made.public_bytes(Encoding.PEM), mode=0o644)
    return Authority(made, secret)


def load_authority(certificate: Path, key: Path) -> Authority:
    """Return the CA that its files describe.

    Raises:
        MistakeError: a file is missing, readable by others, or not what its name says.
    """
    try:
        secret = load_pem_private_key(read_secret(key), password=None)
    except ValueError as error:
        raise MistakeError("is not an unencrypted PEM key", where=str(key)) from error
    if not isinstance(secret, EllipticCurvePrivateKey):
        raise MistakeError("is not an elliptic curve key", where=str(key))
    return Authority(_load_certificate(certificate), secret)


def issue_server(
    authority: Authority, path: Path, *, hosts: Sequence[str], now_ms: WallMs
) -> x509.Certificate:
    """Make a server key and certificate for `hosts` and write both into one PEM file.

    Raises:
        MistakeError: a host is neither an address nor a name.
        OSError: the file cannot be written.
    """
    secret = generate_private_key(SECP256R1())
    issuer = authority.certificate
    names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
    server_auth = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "coordinator")]))
        .issuer_name(issuer.subject)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(min(_time(now_ms) + SERVER_DAYS * _DAY, issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(server_auth, critical=False)
        .add_extension(names, critical=False)
        .add_extension(_subject_key(secret.public_key()), critical=False)
        .add_extension(_authority_key(authority), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    write_atomically(path, _pem(secret) + made.public_bytes(Encoding.PEM), mode=0o600)
    return made


def issue_client(
    authority: Authority, public_key: bytes, *, name: str, now_ms: WallMs
) -> x509.Certificate:
    """Return a client certificate for an agent's own Ed25519 key, as small as they come.

    The key was proven by the signature of what asked for it; nothing secret is made here.
    """
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(authority.certificate.subject)
        .public_key(Ed25519PublicKey.from_public_bytes(public_key))
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_time(now_ms) + CLIENT_DAYS * _DAY)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(authority.key, hashes.SHA256())
    )


def load_server(path: Path) -> x509.Certificate:
    """Return the certificate in the server's PEM file.

    Raises:
        MistakeError: it is missing, readable by others, or holds no certificate.
    """
    return _parse_certificate(read_secret(path), path)


def hosts_of(certificate: x509.Certificate) -> list[str]:
    """Return the names and addresses a server's certificate is for."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    found = list(names.get_values_for_type(x509.DNSName))
    return found + [str(address) for address in names.get_values_for_type(x509.IPAddress)]


def is_due(certificate: x509.Certificate, now_ms: WallMs) -> bool:
    """Tell whether a server's certificate should be renewed."""
    return certificate.not_valid_after_utc - _time(now_ms) < RENEW_DAYS * _DAY


def _time(now_ms: WallMs) -> datetime:
    return _FROM + timedelta(seconds=now_ms // 1000)


def _pem(key: EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _load_certificate(path: Path) -> x509.Certificate:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MistakeError(f"cannot be read ({error.strerror})", where=str(path)) from error
    return _parse_certificate(data, path)


def _parse_certificate(data: bytes, path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(data)
    except ValueError as error:
        raise MistakeError("holds no PEM certificate", where=str(path)) from error


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _subject_key(key: EllipticCurvePublicKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key)


def _authority_key(authority: Authority) -> x509.AuthorityKeyIdentifier:
    own = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own.value)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not _HOST.fullmatch(host):
        raise MistakeError(
            f"{host!r} is neither a host name nor an address",
            where="--host",
            mend="write an international name in its xn-- form",
        )
    return x509.DNSName(host)
