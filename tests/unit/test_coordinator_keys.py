"""Key files and certificates: who may read them, whom they are for, how long they hold."""

import stat

import pytest
from cryptography import x509

from coordinator.keys.certificates import (
    CA_DAYS,
    RENEW_DAYS,
    SERVER_DAYS,
    create_authority,
    hosts_of,
    is_due,
    issue_server,
    load_authority,
    load_server,
)
from coordinator.keys.file_keys import FileSigner, create_signer
from shared.clock import WallMs
from shared.errors import MistakeError
from shared.ids import key_id
from shared.trust.envelope import open_envelope, seal

NOW = WallMs(1_795_000_000_000)
DAY = 86_400_000


@pytest.fixture
def authority(tmp_path):
    return create_authority(tmp_path / "ca.pem", tmp_path / "ca-key.pem", name="CA", now_ms=NOW)


def test_a_signer_comes_back_from_its_file(tmp_path):
    made = create_signer(tmp_path / "k.pem")
    envelope = seal("x/1", b"payload", [FileSigner(tmp_path / "k.pem")])
    keys = {key_id(made.public_key): made.public_key}
    assert open_envelope(envelope, typ="x/1", keys=keys, threshold=1, bound=999) == b"payload"
    assert stat.S_IMODE((tmp_path / "k.pem").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_key_that_others_may_touch_is_refused_with_the_mend(tmp_path, mode):
    create_signer(tmp_path / "k.pem").path.chmod(mode)
    with pytest.raises(MistakeError, match="chmod 600"):
        FileSigner(tmp_path / "k.pem")


def test_what_is_no_ed25519_key_is_refused(tmp_path, authority):
    (tmp_path / "junk.pem").write_text("junk")
    (tmp_path / "junk.pem").chmod(0o600)
    for name, said in (
        ("none.pem", "cannot be read"),
        ("junk.pem", "not a PEM key"),
        ("ca-key.pem", "not an Ed25519 key"),
    ):
        with pytest.raises(MistakeError, match=said):
            FileSigner(tmp_path / name)


def test_certificates_hold_from_1970_for_gateways_whose_clock_starts_there(tmp_path, authority):
    server = issue_server(authority, tmp_path / "s.pem", hosts=["gw"], now_ms=NOW)
    for certificate in (authority.certificate, server):
        assert certificate.not_valid_before_utc.year == 1970
    ends_ms = authority.certificate.not_valid_after_utc.timestamp() * 1000
    assert ends_ms == NOW + CA_DAYS * DAY


def test_a_server_certificate_names_its_hosts_and_can_sign_nothing(tmp_path, authority):
    hosts = ["localhost", "gw.example", "127.0.0.1", "::1"]
    issue_server(authority, tmp_path / "s.pem", hosts=hosts, now_ms=NOW)
    server = load_server(tmp_path / "s.pem")
    assert hosts_of(server) == hosts
    server.verify_directly_issued_by(authority.certificate)
    extensions = server.extensions
    assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign is False


def test_a_server_certificate_is_due_in_its_last_month(tmp_path, authority):
    server = issue_server(authority, tmp_path / "s.pem", hosts=["gw"], now_ms=NOW)
    last_month_ms = NOW + (SERVER_DAYS - RENEW_DAYS) * DAY
    assert not is_due(server, WallMs(last_month_ms))
    assert is_due(server, WallMs(last_month_ms + 1000))


def test_no_server_certificate_outlives_its_authority(tmp_path, authority):
    late = WallMs(NOW + (CA_DAYS - 1) * DAY)
    server = issue_server(authority, tmp_path / "s.pem", hosts=["gw"], now_ms=late)
    assert server.not_valid_after_utc == authority.certificate.not_valid_after_utc


@pytest.mark.parametrize("host", ["", "bad host", "-x", "b\u00e9", "a/b", "https://x", "x" * 300])
def test_what_is_no_host_is_refused(tmp_path, authority, host):
    with pytest.raises(MistakeError, match="neither a host name nor an address"):
        issue_server(authority, tmp_path / "s.pem", hosts=[host], now_ms=NOW)


def test_an_authority_comes_back_from_its_files(tmp_path, authority):
    loaded = load_authority(tmp_path / "ca.pem", tmp_path / "ca-key.pem")
    assert loaded.pem == authority.pem
    signer = create_signer(tmp_path / "k.pem")
    (tmp_path / "junk.pem").write_text("junk")
    (tmp_path / "junk.pem").chmod(0o600)
    with pytest.raises(MistakeError, match="not an unencrypted PEM key"):
        load_authority(tmp_path / "ca.pem", tmp_path / "junk.pem")
    with pytest.raises(MistakeError, match="not an elliptic curve key"):
        load_authority(tmp_path / "ca.pem", signer.path)
    with pytest.raises(MistakeError, match="holds no PEM certificate"):
        load_authority(signer.path, tmp_path / "ca-key.pem")
