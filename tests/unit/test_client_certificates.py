"""What a connection must have shown for a contact, by what the operator asks for."""

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from agent.services.identity import load_or_make_signer, save_certificate
from coordinator.core.client_certificates import Demand, Shown, check_shown
from coordinator.keys.certificates import CLIENT_DAYS, create_authority, issue_client
from shared.clock import WallMs
from shared.errors import RefusedError
from shared.runtime.clock import SystemEntropy

NOW = WallMs(1_795_000_000_000)
OWN = Shown("pump", NOW + 1)


@pytest.mark.parametrize(
    ("demand", "shown", "says"),
    [
        (Demand.OFF, None, None),
        (Demand.OPTIONAL, None, None),
        (Demand.OPTIONAL, OWN, None),
        (Demand.REQUIRED, OWN, None),
        (Demand.REQUIRED, None, "showed none"),
        (Demand.REQUIRED, Shown("meter", NOW + 1), "another agent's"),
        (Demand.OPTIONAL, Shown("meter", NOW + 1), "another agent's"),
        (Demand.REQUIRED, Shown("pump", NOW), "ended"),
        (Demand.OPTIONAL, Shown("pump", NOW), "ended"),
    ],
)
def test_a_contact_needs_the_agents_own_certificate_that_is_not_over(demand, shown, says):
    if says is None:
        check_shown(demand, shown, "pump", NOW)
        return
    with pytest.raises(RefusedError, match=says):
        check_shown(demand, shown, "pump", NOW)


def test_a_certificate_is_for_the_agents_own_key_and_begins_in_1970(tmp_path):
    signer = load_or_make_signer(tmp_path, SystemEntropy())
    authority = create_authority(tmp_path / "ca.pem", tmp_path / "ca-key.pem", name="x", now_ms=NOW)
    made = issue_client(authority, signer.public_key, name="pump", now_ms=NOW)
    key = made.public_key()
    assert isinstance(key, Ed25519PublicKey)
    assert key.public_bytes_raw() == signer.public_key
    assert made.not_valid_before_utc == datetime(1970, 1, 1, tzinfo=UTC)
    assert made.not_valid_after_utc.timestamp() * 1000 == NOW + CLIENT_DAYS * 86_400_000
    made.verify_directly_issued_by(authority.certificate)
    pem = save_certificate(tmp_path, made.public_bytes(Encoding.DER))
    assert pem.stat().st_mode & 0o077 == 0
    assert pem.read_text().count("BEGIN") == 2
