"""Catalog and policy as people write them: what they mean, and a sentence for each mistake."""

from pathlib import Path

import pytest

from coordinator.commands.texts import read_catalog, read_policy
from coordinator.core.catalog_text import parse_catalog, render_catalog
from coordinator.core.policy_text import parse_policy, render_policy
from shared.errors import MistakeError
from shared.ids import key_id
from shared.model.profile import parse_profile
from shared.trust.catalog import FlagBound, NamesBound, NumberBound, PointBound, TextBound
from shared.trust.starter import first_catalog, first_policy
from tests.unit.trust_world import FLEET, NOW, changed, make_catalog, make_policy, signer

HASH = "ab" * 32
PUMP = """\
profile = 1
name = "pump"
kind = "pump"
protocol = "modbus"
[[point]]
name = "setpoint"
at = { table = "holding", address = 1, type = "uint16" }
writable = true
min = 0
max = 5000
[[point]]
name = "current"
at = { table = "input", address = 1, type = "uint16" }
"""
CATALOG = f"""\
expires = 2030-01-31
any_profile = false

[action."device.read"]
parameters.points = {{ names = 8 }}

[action."device.write"]
by_profile = true
parameters.gain = {{ low = -1, high = 2.5 }}
parameters.force = {{ flag = true }}
parameters.mode = {{ text = 10, choices = ["slow", "fast"] }}

[[profile]]
sha256 = "{HASH}"
points.setpoint = {{ low = 0, high = 5000 }}
points.start = {{ low = 0, high = 1 }}

[config]
endpoints = ["https://b.example", "https://a.example"]
settings."sync.interval_s" = {{ low = 10, high = 3600 }}

[[script]]
name = "tidy"
sha256 = "{HASH}"

[[firmware]]
id = "meter-2"
sha256 = "{HASH}"
size = 1000
class = "meter"
release = 2
image = "{HASH}"

[[agent]]
sha256 = "{HASH}"
release = 7
"""
ANNA, BEN = signer("anna").public_key, signer("ben").public_key
POLICY = f"""\
[[approver]]
name = "anna"
key = "{ANNA.hex()}"

[[approver]]
name = "ben"
key = "{BEN.hex()}"

[class.observe]
actions."device.read" = []

[class.guarded]
approvals = 2
approvers = ["anna", "ben"]
offline_grace_s = 3600
actions."device.read" = []
actions."device.write" = ["setpoint"]
"""


def no_file(name):
    raise MistakeError("cannot be read", where=name)


def catalog(text):
    return parse_catalog(text, source="catalog.toml", profile_file=no_file)


def policy(text):
    return parse_policy(text, source="policy.toml")


# --- what they mean -----------------------------------------------------------------------------
def test_a_catalog_is_read_as_it_is_written():
    said = catalog(CATALOG)
    assert said.expires_ms == 1_896_048_000_000
    content = said.content
    assert content.actions["device.read"].parameters == {"points": NamesBound(8)}
    write = content.actions["device.write"]
    assert write.by_profile
    assert write.parameters == {
        "gain": NumberBound(-1, 2.5),
        "force": FlagBound(),
        "mode": TextBound(10, ["slow", "fast"]),
    }
    (pump,) = content.profiles
    assert pump.profile == bytes.fromhex(HASH)
    assert pump.points == [PointBound("setpoint", 0, 5000), PointBound("start", 0, 1)]
    assert content.config.endpoints == ["https://a.example", "https://b.example"]
    assert content.config.settings == {"sync.interval_s": NumberBound(10, 3600)}
    assert (content.scripts[0].name, content.firmware[0].id) == ("tidy", "meter-2")
    assert content.firmware[0].image == bytes.fromhex(HASH)
    assert (content.firmware[0].device_class, content.agents[0].release) == ("meter", 7)


def test_a_policy_is_read_as_it_is_written():
    content = policy(POLICY).content
    assert [approver.name for approver in content.approvers] == ["anna", "ben"]
    guarded = content.classes["guarded"]
    assert (guarded.threshold, guarded.offline_grace_s) == (2, 3600)
    assert guarded.approvers == [key_id(ANNA), key_id(BEN)]
    assert guarded.actions == {"device.read": [], "device.write": ["setpoint"]}
    assert content.classes["observe"].threshold == 0
    assert content.classes["observe"].offline_grace_s == 5_184_000


def test_a_person_may_be_named_by_one_key_of_several():
    text = POLICY.replace('["anna", "ben"]', f'["anna", "{key_id(BEN).hex()}"]')
    assert policy(text).content.classes == policy(POLICY).content.classes


def test_the_documents_a_fleet_begins_with_can_be_shown_and_published_again():
    until = NOW + 1000
    for document in (
        first_catalog(fleet=FLEET, issued_ms=NOW, expires_ms=until),
        make_catalog(),
    ):
        again = catalog(render_catalog(document))
        numbers = {name: getattr(document, name) for name in ("version", "fleet", "epoch")}
        times = {"issued_ms": NOW, "expires_ms": document.expires_ms}
        assert changed(again.content, **numbers, **times) == changed(document, **times)
        assert again.expires_ms == document.expires_ms
    for rules in (first_policy(fleet=FLEET, issued_ms=NOW, expires_ms=until), make_policy()):
        assert policy(render_policy(rules)).content.classes == rules.classes
        assert policy(render_policy(rules)).content.approvers == rules.approvers


def test_a_profile_may_be_named_by_its_file(tmp_path: Path):
    (tmp_path / "pump.toml").write_text(PUMP)
    file = tmp_path / "catalog.toml"
    text = '[[profile]]\nfile = "pump.toml"\npoints.setpoint = { low = 0, high = 4000 }\n'
    file.write_text(text)
    (entry,) = read_catalog(file).content.profiles
    assert entry.profile == parse_profile(PUMP, source="x").content_hash
    for wrong, says in (
        (text.replace("setpoint", "setpont"), "no point 'setpont'; did you mean 'setpoint'?"),
        (text.replace("setpoint", "current"), "does not let 'current' be written"),
        (text.replace("4000", "6000"), "goes beyond the profile's own limits"),
        (text.replace("pump.toml", "pomp.toml"), "cannot be read"),
    ):
        file.write_text(wrong)
        with pytest.raises(MistakeError) as mistake:
            read_catalog(file)
        assert says in str(mistake.value)
        assert "catalog.toml line " in str(mistake.value)


# --- mistakes -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("any_profile = false", "any_profile = ", "line 2: this is no TOML"),
        ("any_profile = false", "any_profil = false", "line 2: unknown key 'any_profil'; did you"),
        ("any_profile = false", 'any_profile = "no"', "line 2: any_profile is true or false"),
        ("2030-01-31", '"2030-01-31"', "line 1: expires is a date"),
        ("2030-01-31", "2030-01-31T00:00:00", "line 1: expires needs its time zone"),
        ("2030-01-31", "9999-01-31", "line 1: expires cannot be in 9999"),
        ("device.read", "device.reed", "line 4: there is no action 'device.reed'; did you mean"),
        ("device.read", "pump.dance", "line 4: there is no action 'pump.dance'; there are agent."),
        ("{ names = 8 }", "8", "line 5: points is a table; write points = { ... }"),
        ("{ names = 8 }", "{ names = 0 }", "line 5: names = 0 is not a whole number"),
        ("{ names = 8 }", "{}", "line 5: this is no bound; write {"),
        ("{ names = 8 }", "{ names = 8, flag = true }", "line 5: this is no bound"),
        ("low = -1, high", "low = 3, high", "line 9: low 3 is above high 2.5"),
        ("low = -1, high", 'low = "x", high', "line 9: low = 'x' is not a number"),
        ("low = -1, high", "low = -1e300, high", "line 9: low is beyond"),
        ("{ flag = true }", "{ flag = false }", "line 10: this is no bound"),
        ('["slow", "fast"]', '["slow", "slow"]', "choices names something twice"),
        (f'sha256 = "{HASH}"\npoints', 'sha256 = "ab"\npoints', "line 14: sha256 has 64 hex"),
        (f'sha256 = "{HASH}"\npoints', "points", "sha256 is missing"),
        (f'sha256 = "{HASH}"\npoints', 'file = "p"\npoints', "line 14: its profile cannot be used"),
        ("points.setpoint", 'points."Set point"', "line 15: 'Set point' cannot name a point"),
        ("low = 0, high = 5000", "low = 1, high = 0", "line 15: low 1 is above high 0"),
        ('["https://b.example"', "[7", "line 19: endpoints is a list of texts"),
        ('name = "tidy"', 'name = "../tidy"', "line 23: name cannot be '../tidy'"),
        ("size = 1000", "size = 0", "line 29: size = 0 is not a whole number"),
        ("release = 7", "release = -7", "line 36: release = -7"),
        ("[[agent]]", "[agent]", "agent is a list of tables"),
    ],
)
def test_a_mistake_in_a_catalog_is_a_sentence_with_its_line(old, new, says):
    assert old in CATALOG
    with pytest.raises(MistakeError) as mistake:
        catalog(CATALOG.replace(old, new, 1))
    assert says in str(mistake.value)
    assert str(mistake.value).startswith("catalog.toml")
    assert "\n" not in str(mistake.value)


def test_nothing_is_listed_twice():
    entry = f'[[script]]\nname = "tidy"\nsha256 = "{HASH}"\n'
    with pytest.raises(MistakeError, match="line 4: this script is listed twice"):
        catalog(entry + entry)
    approver = f'[[approver]]\nname = "anna"\nkey = "{ANNA.hex()}"\n'
    with pytest.raises(MistakeError, match="line 6: this key is listed twice"):
        policy(approver + approver)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "anna"', 'name = ""', "line 2: a name has 1 to 128"),
        (ANNA.hex(), "ab", "line 3: key has 64 hex digits"),
        ("device.read", "device.reed", "line 10: there is no action 'device.reed'; did you mean"),
        ("approvals = 2", "approvals = 3", "line 13: it asks for 3 approvals of 2 people"),
        ("approvals = 2", "approvals = -1", "line 13: approvals = -1 is not a whole number"),
        ("approvals = 2", 'approvals = "two"', "line 13: approvals = 'two' is not a whole"),
        ('["anna", "ben"]', '["anna", "bin"]', "line 14: nobody called 'bin'"),
        ('["anna", "ben"]', '"anna"', "line 14: approvers is a list of texts"),
        ("offline_grace_s = 3600", "offline_grace_s = 99999999999", "line 15: offline_grace_s"),
        ('["setpoint"]', '"setpoint"', "line 17: device.write is a list of texts"),
        ("[class.guarded]", '[class."Not a name"]', "line 12: 'Not a name' cannot name a class"),
        ("[class.guarded]", "[clas.guarded]", "line 12: unknown key 'clas'; did you mean 'class'?"),
    ],
)
def test_a_mistake_in_a_policy_is_a_sentence_with_its_line(old, new, says):
    assert old in POLICY
    with pytest.raises(MistakeError) as mistake:
        policy(POLICY.replace(old, new, 1))
    assert says in str(mistake.value)
    assert str(mistake.value).startswith("policy.toml")
    assert "\n" not in str(mistake.value)


def test_a_policy_that_lets_nothing_run_is_a_mistake():
    with pytest.raises(MistakeError, match="without classes lets nothing run"):
        policy("")


def test_a_text_that_cannot_be_read_is_a_mistake(tmp_path: Path):
    with pytest.raises(MistakeError, match="cannot be read"):
        read_policy(tmp_path / "none.toml")
    with pytest.raises(MistakeError, match="cannot be read"):
        read_catalog(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"# \xe4\n")
    with pytest.raises(MistakeError, match="is not UTF-8"):
        read_policy(tmp_path / "latin.toml")
    (tmp_path / "huge.toml").write_bytes(b"#" * 300_000)
    with pytest.raises(MistakeError, match="longer than"):
        read_catalog(tmp_path / "huge.toml")
