"""The commands around root, catalog and policy, as people type them, and what they say of slips."""

import json
import stat
import tomllib
from pathlib import Path

import pytest

from coordinator.__main__ import main

OFFICERS = ("anna", "ben", "cara")


class Desk:
    """One machine's current directory, and a way to type a command into it."""

    def __init__(self, folder, capsys):
        self.folder, self._capsys = folder, capsys

    def type(self, *words, status=0):
        """Run a command; return what it printed."""
        found = main([str(word) for word in words])
        said = self._capsys.readouterr()
        assert found == status, said
        return said.out if status == 0 else said.err

    def slip(self, *words):
        """Run a command that a person got wrong; return the sentence."""
        sentence = self.type(*words, status=2)
        assert sentence.startswith("outstation-coordinator: ")
        assert "\n" not in sentence.strip()
        return sentence

    def json(self, *words):
        return json.loads(self.type(*words, "--json").splitlines()[-1])

    def root(self, data="data"):
        return self.json("root", "show", "--data", data)

    def ids(self, role, data="data"):
        return [key["id"] for key in self.root(data)["roles"][role]["keys"]]

    def sign(self, papers, *keys):
        for key in keys:
            self.type("office", "sign", papers, "--key", key, "--yes")


@pytest.fixture
def desk(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path, capsys)


@pytest.fixture
def alone(desk):
    """A fleet on one machine."""
    desk.type("init", "data", "--host", "127.0.0.1")
    return desk


@pytest.fixture
def founded(desk):
    """A fleet whose root and release keys never were on the coordinator's machine."""
    desk.type("init", "data", "--host", "127.0.0.1", "--ceremony")
    for name in (*OFFICERS, "dora"):
        desk.type("office", "key", f"{name}.pem", "--plain")
    roots = [word for name in OFFICERS for word in ("--root", f"{name}.pem.pub")]
    desk.type(
        "office", "init", "data/request.json", "papers.json", *roots, "--release", "dora.pem.pub"
    )
    desk.sign("papers.json", "anna.pem", "cara.pem", "dora.pem")
    desk.type("adopt", "--data", "data", "papers.json")
    return desk


# --- the ceremony -------------------------------------------------------------------------------
def test_the_checklist_names_every_step(desk):
    said = desk.type("init", "data", "--ceremony")
    for words in ("office key", "office init", "office sign", "adopt --data", "docs/recovery.md"):
        assert words in said
    assert not list(Path("data/keys").glob("root*"))
    assert not list(Path("data/keys").glob("release*"))
    assert not Path("data/coordinator.db").exists()


def test_a_coordinator_whose_ceremony_is_not_over_does_nothing(desk):
    desk.type("init", "data", "--ceremony")
    for words in (("run",), ("root", "show"), ("catalog", "show")):
        assert "the ceremony of this fleet is not over" in desk.slip(*words, "--data", "data")


def test_a_founded_fleet_begins_carefully(founded):
    assert founded.root()["roles"]["root"]["threshold"] == 2
    catalog = founded.json("catalog", "show", "--data", "data")
    assert catalog["any_profile"] is False
    assert "profile" not in catalog
    assert Path("data/admin.toml").exists()
    assert not Path("data/request.json").exists()


def test_offline_keys_are_secret_and_may_have_a_passphrase(desk):
    Path("words").write_text("correct horse\n")
    desk.type("office", "key", "anna.pem", "--passphrase-file", "words")
    assert stat.S_IMODE(Path("anna.pem").stat().st_mode) == 0o600
    assert "ENCRYPTED" in Path("anna.pem").read_text()
    assert "nobody is there to type" in desk.slip("office", "key", "ben.pem")
    Path("none").write_text("\n")
    said = desk.slip("office", "key", "ben.pem", "--passphrase-file", "none")
    assert "protects nothing" in said
    assert "exists already" in desk.slip("office", "key", "anna.pem", "--plain")


def test_a_protected_key_signs_with_its_passphrase_only(founded):
    Path("words").write_text("correct horse\n")
    Path("other").write_text("battery\n")
    founded.type("office", "key", "ella.pem", "--passphrase-file", "words")
    drop = founded.ids("root")[1]
    founded.type("rotate", "root", "--data", "data", "--new", "ella.pem.pub", "--drop", drop)
    sign = ("office", "sign", "data/papers.json", "--yes", "--key", "ella.pem")
    assert "nobody is there to type" in founded.slip(*sign)
    assert "does not open" in founded.slip(*sign, "--passphrase-file", "other")
    founded.type(*sign, "--passphrase-file", "words")
    assert "is not protected" in founded.slip(*sign[:-1], "anna.pem", "--passphrase-file", "words")


def test_nobody_signs_without_having_seen_what(founded):
    founded.type("rotate", "director", "--data", "data")
    said = founded.slip("office", "sign", "data/papers.json", "--key", "anna.pem")
    assert "nobody is there to confirm" in said
    # Whatever is asked is told before the question; without a key nothing before it is proven.
    shown = founded.type("office", "show", "data/papers.json")
    assert f"-  {founded.ids('director')[0]}" in shown
    assert "2 more of the root keys" in shown


def test_whoever_signs_believes_nothing_that_papers_say_of_themselves(founded):
    Path("policy.toml").write_text(founded.type("policy", "show", "--data", "data"))
    founded.type("policy", "publish", "--data", "data", "policy.toml")
    sign = ("office", "sign", "data/papers.json", "--yes", "--key", "dora.pem")
    assert "read all of it" in founded.type("office", "show", "data/papers.json")
    papers = json.loads(Path("data/papers.json").read_text())
    assert "read all of it" not in founded.type(*sign)
    (draft,) = papers["drafts"]
    papers["before"] = [draft if one["kind"] == "policy" else one for one in papers["before"]]
    Path("data/papers.json").write_text(json.dumps(papers))
    assert "read all of it" in founded.type(*sign)


def test_a_director_is_rotated_by_the_officers(founded):
    (before,) = founded.ids("director")
    out = founded.json("rotate", "director", "--data", "data", "--out", "next.json")
    assert (out["adopted"], out["papers"]) == (False, "next.json")
    assert len(out["missing"]) == 2, "the old and the new root keys"
    assert founded.ids("director") == [before]
    assert "lacks signatures" in founded.slip("adopt", "--data", "data", "next.json")
    founded.sign("next.json", "ben.pem", "anna.pem")
    founded.type("adopt", "--data", "data", "next.json")
    (after,) = founded.ids("director")
    assert after != before
    assert [path.name for path in Path("data/keys").glob("director*")] == [f"director-{after}.pem"]
    said = founded.slip("adopt", "--data", "data", "next.json")
    assert "does not follow, in force is root 2 of epoch 1" in said


def test_a_catalog_is_published_by_the_release_key(founded):
    Path("catalog.toml").write_text('[action."device.read"]\nparameters.points = { names = 3 }\n')
    founded.type("catalog", "publish", "--data", "data", "catalog.toml")
    assert "speaks for nothing" in founded.slip(
        "office", "sign", "data/papers.json", "--key", "anna.pem", "--yes"
    )
    assert "exists already" in founded.slip("catalog", "publish", "--data", "data", "catalog.toml")
    founded.sign("data/papers.json", "dora.pem")
    founded.type("adopt", "--data", "data", "data/papers.json")
    assert not Path("data/papers.json").exists(), "the next papers want the place"
    catalog = founded.json("catalog", "show", "--data", "data")
    assert (catalog["version"], list(catalog["action"])) == (2, ["device.read"])


def test_a_policy_that_names_what_the_catalog_does_not_allow_is_noted(alone, capsys):
    Path("catalog.toml").write_text('[action."device.read"]\n')
    Path("policy.toml").write_text(alone.type("policy", "show", "--data", "data"))
    alone.type("catalog", "publish", "--data", "data", "catalog.toml")
    assert main(["policy", "publish", "--data", "data", "policy.toml"]) == 0
    said = capsys.readouterr()
    assert "note: the catalog in force allows device.write to nobody" in said.err
    assert "in force: policy 2" in said.out


def test_keys_for_papers_that_are_on_their_way_survive_other_papers(founded):
    founded.type("rotate", "director", "--data", "data", "--out", "director.json")
    Path("policy.toml").write_text(founded.type("policy", "show", "--data", "data"))
    founded.type("policy", "publish", "--data", "data", "policy.toml", "--out", "policy.json")
    founded.sign("policy.json", "dora.pem")
    founded.type("adopt", "--data", "data", "policy.json")
    founded.sign("director.json", "ben.pem", "anna.pem")
    founded.type("adopt", "--data", "data", "director.json")
    assert founded.root()["version"] == 2


# --- one machine --------------------------------------------------------------------------------
@pytest.mark.parametrize("role", ["director", "release", "root"])
def test_on_one_machine_keys_change_at_once(alone, role):
    (before,) = alone.ids(role)
    said = alone.json("rotate", role, "--data", "data")
    assert said["adopted"]
    assert alone.ids(role) != [before]
    files = [path.name for path in Path("data/keys").glob(f"{role}*.pem")]
    assert files == [f"{role}-{alone.ids(role)[0]}.pem"], "the old one is gone"
    alone.type("rotate", role, "--data", "data")


def test_the_offline_keys_can_leave_the_machine_later(alone):
    for name in (*OFFICERS, "dora"):
        alone.type("office", "key", f"{name}.pem", "--plain")
    new = [word for name in OFFICERS for word in ("--new", f"{name}.pem.pub")]
    alone.type("rotate", "root", "--data", "data", *new, "--threshold", "2")
    alone.sign("data/papers.json", "anna.pem", "ben.pem")
    alone.type("adopt", "--data", "data", "data/papers.json")
    alone.type("rotate", "release", "--data", "data", "--new", "dora.pem.pub")
    alone.sign("data/papers.json", "anna.pem", "ben.pem", "dora.pem")
    alone.type("adopt", "--data", "data", "data/papers.json")
    assert not list(Path("data/keys").glob("root*"))
    assert not list(Path("data/keys").glob("release*"))
    assert alone.root()["roles"]["root"]["threshold"] == 2


def test_what_is_shown_can_be_published(alone):
    for kind in ("catalog", "policy"):
        Path("text.toml").write_text(alone.type(kind, "show", "--data", "data"))
        tomllib.loads(Path("text.toml").read_text())
        before = alone.json(kind, "show", "--data", "data")
        said = alone.json(kind, "publish", "--data", "data", "text.toml")
        assert said["documents"] == [f"{kind} 2 of epoch 1"]
        after = alone.json(kind, "show", "--data", "data")
        changed = {"version", "issued_at"}
        assert {key: before[key] for key in before.keys() - changed} == {
            key: after[key] for key in after.keys() - changed
        }


def test_a_root_is_renewed_with_the_same_keys(alone):
    before = alone.root()
    alone.type("root", "renew", "--data", "data")
    after = alone.root()
    assert (after["version"], after["roles"]) == (2, before["roles"])
    assert after["expires_at"] > before["expires_at"]


# --- slips --------------------------------------------------------------------------------------
def test_the_wrong_file_is_said(alone):
    Path("note.txt").write_text("buy milk")
    Path("bad.toml").write_text("any_profile = maybe\n")
    Path("action.toml").write_text('[action."device.wriet"]\n')
    for words, says in (
        (("adopt", "note.txt"), "note.txt: holds no papers of a fleet"),
        (("adopt", "none.json"), "none.json: cannot be read"),
        (("adopt", "data/ca.pem"), "holds no papers"),
        (("catalog", "publish", "bad.toml"), "bad.toml line 1: this is no TOML"),
        (("catalog", "publish", "action.toml"), "action.toml line 1: there is no action"),
        (("catalog", "publish", "none.toml"), "none.toml: cannot be read"),
        (("policy", "publish", "action.toml"), "action.toml line 1: unknown key 'action'"),
        (("rotate", "root", "--new", "note.txt"), "note.txt: holds no public key"),
        (("rotate", "root", "--drop", "00" * 8), "the root role has no key 0000"),
        (("rotate", "root", "--threshold", "7"), "ask for 7 of 1 key;"),
        (("revoke", "me"), "'me' is neither a key's id nor a file"),
        (("revoke", "00" * 8), "no role has the key 0000"),
    ):
        assert says in alone.slip(*words, "--data", "data"), words
    assert alone.root()["version"] == 1


def test_papers_of_another_fleet_are_said(founded):
    founded.type("init", "other", "--host", "127.0.0.1")
    founded.type("rotate", "director", "--data", "other")
    founded.type("rotate", "director", "--data", "data")
    founded.sign("data/papers.json", "anna.pem", "ben.pem")
    said = founded.slip("adopt", "--data", "other", "data/papers.json")
    assert "director whose key is not on this machine" in said
    Path("catalog.toml").write_text('[action."device.read"]\n')
    founded.type("catalog", "publish", "--data", "data", "catalog.toml", "--out", "c.json")
    founded.sign("c.json", "dora.pem")
    assert "too few signatures" in founded.slip("adopt", "--data", "other", "c.json")


def test_papers_for_another_request_found_nothing(desk):
    for data in ("a", "b"):
        desk.type("init", data, "--host", "127.0.0.1", "--ceremony")
    for name in ("anna", "dora"):
        desk.type("office", "key", f"{name}.pem", "--plain")
    keys = ("--root", "anna.pem.pub", "--release", "dora.pem.pub")
    desk.type("office", "init", "a/request.json", "papers.json", *keys)
    assert "exists already" in desk.slip("office", "init", "a/request.json", "papers.json", *keys)
    desk.sign("papers.json", "anna.pem", "dora.pem")
    assert "founds another fleet" in desk.slip("adopt", "--data", "b", "papers.json")
    request = json.loads(Path("b/request.json").read_text())
    stolen = json.loads(Path("a/request.json").read_text()) | {"fleet": request["fleet"]}
    Path("mixed.json").write_text(json.dumps(stolen))
    desk.type("office", "init", "mixed.json", "mixed-papers.json", *keys)
    desk.sign("mixed-papers.json", "anna.pem", "dora.pem")
    assert "names other online keys" in desk.slip("adopt", "--data", "b", "mixed-papers.json")
    assert not Path("b/coordinator.db").exists()
    assert "is no request" in desk.slip("office", "init", "papers.json", "x.json", *keys)
    (Path("c")).mkdir()
    assert "no fleet was founded" in desk.slip("adopt", "--data", "c", "papers.json")
