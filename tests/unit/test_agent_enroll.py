"""Claims, keys and enrolments: what is kept, for whose eyes, and what is not believed."""

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from agent.core.uplink import LinkFailed
from agent.services.enroll import _accept, _request, enroll, load_claim, prepare
from agent.services.identity import (
    ENROLMENT_NAME,
    KEY_NAME,
    Enrolment,
    load_enrolment,
    load_or_make_signer,
    load_signer,
    save_enrolment,
)
from shared.clock import WallMs
from shared.errors import MistakeError, Reason, RefusedError
from shared.ids import AgentId
from shared.runtime.clock import SystemEntropy
from shared.trust.documents import open_enroll
from shared.trust.envelope import KeySigner
from shared.wire.codec import pack
from shared.wire.messages import EnrollAnswer
from tests.unit.trust_world import FLEET, NOW, make_root, seal_root

ROOT = make_root()
SECRET = bytes(range(32))


def claim_text(**changes: Any) -> str:
    fields: dict[str, Any] = {
        "outstation_claim": 1,
        "url": "https://127.0.0.1:8443",
        "fleet": FLEET.hex(),
        "site": "north",
        "secret": SECRET.hex(),
        "ca_pem": "",
        "root": base64.b64encode(seal_root(ROOT)).decode(),
        "expires": "2090-01-01T00:00:00Z",
    }
    return json.dumps(fields | changes)


@pytest.fixture
def claim(tmp_path: Path):
    file = tmp_path / "claim.json"
    file.write_text(claim_text())
    return load_claim(file, now_ms=WallMs(NOW))


def test_a_claim_says_whom_to_trust(claim):
    assert (claim.site, claim.secret, claim.root) == ("north", SECRET, ROOT)


def test_a_claim_may_carry_what_a_later_version_adds(tmp_path: Path):
    file = tmp_path / "claim.json"
    file.write_text(claim_text(more="x"))
    assert load_claim(file, now_ms=WallMs(NOW)).site == "north"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("claim = 1", "JSON"),
        ("", "no claim file"),
        ("{}", "no claim file"),
        (claim_text(secret="xy"), "no claim file"),
        (claim_text(root="%%%"), "no claim file"),
        (claim_text(root=base64.b64encode(b"x").decode()), "root document fails"),
        (
            claim_text(root=base64.b64encode(seal_root(ROOT, "thief")).decode()),
            "root document fails",
        ),
        (claim_text(fleet="00" * 16), "another fleet's"),
        (claim_text(outstation_claim=2), "version 2"),
        (claim_text(expires="2001-01-01T00:00:00Z"), "good until 2001"),
        (claim_text(expires="tomorrow"), "no claim file"),
    ],
)
def test_a_claim_that_is_none_is_told(tmp_path: Path, text: str, says: str):
    file = tmp_path / "claim.json"
    file.write_text(text)
    with pytest.raises(MistakeError, match=says) as caught:
        load_claim(file, now_ms=WallMs(NOW))
    assert str(file) in str(caught.value)
    assert SECRET.hex() not in str(caught.value)


def test_a_claim_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(MistakeError, match="No such file"):
        load_claim(tmp_path / "none", now_ms=WallMs(NOW))


# --- the key ------------------------------------------------------------------------------------
def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path):
    first = prepare(tmp_path / "data", SystemEntropy())
    again = prepare(tmp_path / "data", SystemEntropy())
    assert first.public_key == again.public_key == load_signer(tmp_path / "data").public_key
    assert stat.S_IMODE((tmp_path / "data" / KEY_NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path):
    load_or_make_signer(tmp_path, SystemEntropy())
    (tmp_path / KEY_NAME).chmod(0o640)
    with pytest.raises(MistakeError, match="chmod 600"):
        load_signer(tmp_path)


def test_a_key_that_a_power_cut_left_empty_is_made_again(tmp_path: Path):
    (tmp_path / KEY_NAME).touch(mode=0o600)
    assert len(load_or_make_signer(tmp_path, SystemEntropy()).public_key) == 32


@pytest.mark.parametrize("text", ["nonsense", "00" * 31, "\xff"])
def test_what_is_no_key_is_told(tmp_path: Path, text: str):
    (tmp_path / KEY_NAME).write_text(text)
    (tmp_path / KEY_NAME).chmod(0o600)
    with pytest.raises(MistakeError, match="no key of an agent"):
        load_or_make_signer(tmp_path, SystemEntropy())


def test_an_agent_without_a_key_is_told_to_enrol(tmp_path: Path):
    with pytest.raises(MistakeError, match="enrol first"):
        load_signer(tmp_path)


# --- the enrolment ------------------------------------------------------------------------------
def enrolment() -> Enrolment:
    return Enrolment(
        agent=AgentId("north-1"),
        url="https://a.test",
        ca_pem="pem",
        root_envelope=seal_root(ROOT),
        root=ROOT,
        labels={"site": "north"},
    )


def test_an_enrolment_is_kept_for_its_owner_only_and_read_back(tmp_path: Path):
    assert load_enrolment(tmp_path) is None
    save_enrolment(tmp_path, enrolment())
    assert load_enrolment(tmp_path) == enrolment()
    assert stat.S_IMODE((tmp_path / ENROLMENT_NAME).stat().st_mode) == 0o600
    with pytest.raises(MistakeError, match="enrolled as north-1 already"):
        prepare(tmp_path, SystemEntropy())


@pytest.mark.parametrize(
    ("old", "new"),
    [("{", "["), (FLEET.hex(), "00" * 16), ('"root": "', '"root": "AAAA'), ('"agent"', '"agnet"')],
)
def test_a_damaged_enrolment_is_told(tmp_path: Path, old: str, new: str):
    save_enrolment(tmp_path, enrolment())
    file = tmp_path / ENROLMENT_NAME
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(MistakeError, match=r"damaged|one fleet and trusts another"):
        load_enrolment(tmp_path)


# --- the answer ---------------------------------------------------------------------------------
def answer(**changes: Any) -> bytes:
    fields: dict[str, Any] = {"agent": "north-1", "fleet": FLEET, "root": seal_root(ROOT)}
    return pack(EnrollAnswer(**(fields | changes)))


def test_the_answers_root_is_the_claims_or_follows_from_it(claim):
    same: Any = _accept(answer(), claim, "https://a.test", {"role": "pump"})
    assert (same.agent, same.root, same.url) == ("north-1", ROOT, "https://a.test")
    assert same.labels == {"role": "pump", "site": claim.site}
    newer = make_root(version=2)
    follows: Any = _accept(answer(root=seal_root(newer)), claim, "https://a.test", {"role": "pump"})
    assert follows.root == newer


def test_a_box_follows_every_root_that_was_made_since_its_claim(claim):
    steps = [seal_root(make_root(version=version)) for version in (2, 3)]
    newest = seal_root(make_root(version=4, epoch=2))
    led: Any = _accept(answer(root=newest, steps=steps), claim, "https://a.test", {})
    assert (led.root.version, led.root.epoch, led.root_envelope) == (4, 2, newest)
    assert open_enroll(_request(claim, "", {}, KeySigner(bytes(32)))).root_version == 1
    with pytest.raises(RefusedError) as refusal:
        _accept(answer(root=newest, steps=steps[1:]), claim, "https://a.test", {})
    assert refusal.value.reason is Reason.WRONG_ROOT_VERSION


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"root": seal_root(make_root(version=3))}, Reason.WRONG_ROOT_VERSION),
        ({"root": seal_root(make_root(version=2), "thief")}, Reason.THRESHOLD_NOT_MET),
        ({"fleet": bytes(16)}, Reason.WRONG_FLEET),
        ({"agent": "North 1"}, Reason.WRONG_FLEET),
    ],
)
def test_an_answer_that_does_not_fit_the_claim_is_not_believed(claim, changes, reason):
    with pytest.raises(RefusedError) as caught:
        _accept(answer(**changes), claim, "https://a.test", {"role": "pump"})
    assert caught.value.reason is reason


async def test_a_name_or_a_url_that_cannot_be_used_is_told_before_anybody_is_asked(claim):
    key = KeySigner(bytes(32))
    with pytest.raises(MistakeError, match="--name"):
        await enroll(claim, key, url="https://a.test", name="North 1", labels={})
    with pytest.raises(MistakeError, match="--coordinator"):
        await enroll(claim, key, url="a.test", name="", labels={})


async def test_the_request_proves_the_key_it_names(claim):

    key = KeySigner(bytes(32))
    wish = open_enroll(_request(claim, "north-1", {"role": "pump"}, key))
    assert (wish.secret, wish.public_key, wish.labels) == (SECRET, key.public_key, {"role": "pump"})
    end = await enroll(claim, key, url="http://127.0.0.1:1", name="", labels={})
    assert isinstance(end, LinkFailed)
