"""`outstation` for approvers and admins against a real coordinator: shown, done, refused."""

import asyncio
import json
import socket
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec.structs import replace

from coordinator.cli import approvals
from coordinator.cli.__main__ import main
from coordinator.cli.approvals import Wish, approval_of, checked_spec
from coordinator.cli.client import CallError, Client
from coordinator.cli.keyfile import load_key
from coordinator.contract.approvals import ApprovalForm
from shared.errors import MistakeError
from tests.system.approvals_world import PEOPLE, guard, submit_write, token_of
from tests.system.coordinator_world import client_of, found_in, serving


@pytest.fixture
async def world(tmp_path):
    place = await found_in(tmp_path)
    await guard(place)
    async with serving(place) as url, client_of(place, url) as made:
        await made.gateway("pump-1")
        await made.gateway("pump-2")
        yield made


@pytest.fixture
def run(world, monkeypatch, capsys):
    """Run one command as somebody with a token: status, what it printed, what it complained of."""
    monkeypatch.setenv("OUTSTATION_URL", world.url)
    monkeypatch.setenv("OUTSTATION_CONFIG", str(world.place.directory.admin))
    for name in ("OUTSTATION_KEY", "OUTSTATION_TOKEN", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    async def command(*arguments, token=None):
        if token is not None:
            monkeypatch.setenv("OUTSTATION_TOKEN", token)
        capsys.readouterr()
        status = await asyncio.to_thread(main, list(map(str, arguments)))
        monkeypatch.delenv("OUTSTATION_TOKEN", raising=False)
        said = capsys.readouterr()
        return int(status), said.out, said.err

    return command


@pytest.fixture
def key_of(tmp_path):
    """The key file of a person whom the policy knows."""

    def write(name: str) -> Path:
        path = tmp_path / f"{name}.pem"
        key = Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b"!"))
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        path.chmod(0o600)
        assert load_key(path).public_key == PEOPLE[name].public_key
        return path

    return write


# --- keys ---------------------------------------------------------------------------------------
async def test_a_new_key_is_its_owners_alone_and_its_line_goes_into_the_policy(run, tmp_path):
    file = tmp_path / "mine.pem"
    status, out, _ = await run("keys", "create", file, "--name", "dora")
    assert status == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    public = load_key(file).public_key.hex()
    assert f'[[approver]]\nname = "dora"\nkey = "{public}"\n' in out
    assert "PRIVATE" not in out
    status, out, _ = await run("keys", "show", file, "--json")
    assert json.loads(out)["key"] == public
    status, _, err = await run("keys", "create", file)
    assert (status, "exists already" in err) == (2, True)
    assert load_key(file).public_key.hex() == public


async def test_a_key_may_have_a_passphrase(run, tmp_path, monkeypatch):
    file = tmp_path / "mine.pem"
    monkeypatch.setenv("OUTSTATION_PASSPHRASE", "correct horse")
    assert (await run("keys", "create", file, "--passphrase"))[0] == 0
    assert b"ENCRYPTED" in file.read_bytes()
    assert (await run("keys", "show", file))[0] == 0
    monkeypatch.setenv("OUTSTATION_PASSPHRASE", "battery staple")
    status, _, err = await run("keys", "show", file)
    assert (status, "another passphrase" in err) == (2, True)
    monkeypatch.delenv("OUTSTATION_PASSPHRASE")
    status, _, err = await run("keys", "show", file)
    assert (status, "OUTSTATION_PASSPHRASE" in err) == (2, True)


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (None, 0o600, "cannot be read"),
        (b"nonsense", 0o600, "not a key in PEM form"),
        (b"", 0o644, "chmod 600"),
    ],
)
async def test_an_unusable_key_file_gets_one_sentence(run, tmp_path, content, mode, said):
    file = tmp_path / "mine.pem"
    if content is not None:
        file.write_bytes(content)
        file.chmod(mode)
    status, out, err = await run("keys", "show", file)
    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


# --- approving ----------------------------------------------------------------------------------
async def test_an_approver_reads_all_of_it_signs_here_and_the_job_goes_out(world, run, key_of):
    job = await submit_write(world)
    ben = await token_of(world.place, "ben", "approver")
    status, out, _ = await run("approvals", "list", token=ben)
    assert status == 0
    assert job["id"] in out
    status, out, _ = await run("approvals", "show", job["id"], token=ben)
    for part in (job["digest"], "asked by", "admin", "pump-1, pump-2", '"setpoint": 4200'):
        assert part in out, part
    options = ("--key", key_of("ben"), "--expires", "12h", "--yes")
    status, out, _ = await run("approvals", "sign", job["id"], *options, token=ben)
    assert status == 0
    for part in (
        job["digest"],
        '"setpoint": 4200',
        "at most",
        "these agents only",
        "1 of 2, by ben",
    ):
        assert part in out, part
    status, out, _ = await run("jobs", "show", job["id"])
    assert "1 of 2, by ben" in out
    assert "1 more of anna, cleo" in out
    status, out, _ = await run(
        "approvals", "sign", job["id"], "--key", key_of("anna"), "--yes", "--json", token=ben
    )
    assert json.loads(out)["state"] == "IN_PROGRESS"
    status, out, _ = await run("jobs", "show", job["id"], "--json")
    assert json.loads(out)["job"]["agreement"]["people"] == ["anna", "ben"]
    assert (await run("approvals", "list"))[1] == "nothing waits for anybody\n"


async def test_whoever_may_read_jobs_alone_is_told_how_many_they_wait_for(world, run):
    job = await submit_write(world)
    eyes = await token_of(world.place, "eyes", "jobs:read,executions:read")
    status, out, err = await run("jobs", "show", job["id"], token=eyes)
    assert (status, err) == (0, "")
    assert "waits for        2 more\n" in out
    assert "2 more of anna, ben, cleo" in (await run("jobs", "show", job["id"]))[1]


async def test_an_approver_may_take_his_time(world, run, key_of, monkeypatch):
    job = await submit_write(world)
    ben, lines = await token_of(world.place, "ben", "approver"), []
    send = Client._send

    def noted(client, *asked):
        send(client, *asked)
        lines.append(client._connection.sock)

    def reads(question, *, yes):
        lines[-1].shutdown(socket.SHUT_RDWR)  # as after an idle minute
        return True

    monkeypatch.setattr(Client, "_send", noted)
    monkeypatch.setattr(approvals, "ask_first", reads)
    sign = ("approvals", "sign", job["id"], "--key", key_of("ben"))
    status, out, err = await run(*sign, token=ben)
    assert (status, err) == (0, "")
    assert "signed: 1 of 2, by ben" in out


async def test_no_text_of_a_job_looks_like_a_field_of_it(world, run):
    text = f"{'X' * 75} dry_run: true {'Y' * 75}"
    alarm = {"text": text, "severity": "warning"}
    job = await submit_write(world, rule={"condition": "device.level > 3", "alarm": alarm})
    status, out, _ = await run("approvals", "show", job["id"])
    assert status == 0
    told = out.partition("\n\n")[2].splitlines()
    assert any(line.lstrip().startswith("| ") for line in told)
    assert all(len(line) <= 80 for line in told), "no terminal breaks one anew"


async def test_nobody_signs_without_being_asked(world, run, key_of):
    job = await submit_write(world)
    status, out, err = await run("approvals", "sign", job["id"], "--key", key_of("ben"))
    assert (status, "--yes" in err) == (2, True)
    assert '"setpoint": 4200' in out, "what would have been signed was shown"
    assert (await world.read(f"/v1/approvals/{job['id']}"))["votes"] == []


async def test_the_author_is_told_that_his_own_word_does_not_count(world, run, key_of):
    token = await token_of(world.place, "anna", "operator,approver")
    job = await submit_write(world, token=token)
    status, _, err = await run(
        "approvals", "sign", job["id"], "--key", key_of("anna"), "--yes", token=token
    )
    assert status == 2
    assert "anna asked for this job himself" in err


async def test_exit_codes_say_what_kind_of_failure_it_was(world, run, key_of):
    job = await submit_write(world)
    sign = ("approvals", "sign", job["id"], "--key", key_of("ben"), "--yes")
    viewer = await token_of(world.place, "eyes", "viewer")
    assert (await run(*sign, token=viewer))[0] == 4
    assert (await run("approvals", "show", "nothing"))[0] == 3
    assert (await run("approvals", "sign", "nothing", "--key", key_of("ben")))[0] == 3
    assert (await run("approvals", "sign", job["id"]))[0] == 2
    assert (await run(*sign, "--expires", "soon"))[0] == 2
    assert (await run(*sign, "--max-executions", "0"))[0] == 2
    assert (await run("approvals", "deny", job["id"]))[0] == 2, "a reason is owed"
    assert (await run("approvals", "deny", job["id"], "--reason", "not today"))[0] == 0
    status, _, err = await run(*sign)
    assert (status, "not today" in err) == (6, True)
    status, out, _ = await run("jobs", "wait", job["id"], "--timeout", "5")
    assert (status, "not today" in out) == (1, True)
    other = await submit_write(world, name="other")
    status, _, err = await run("jobs", "wait", other["id"], "--timeout", "1")
    assert (status, "0 of 2, by nobody yet" in err) == (7, True)


async def test_a_stranger_s_key_is_denied(world, run, tmp_path):
    job = await submit_write(world)
    file = tmp_path / "stranger.pem"
    await run("keys", "create", file)
    status, _, err = await run("approvals", "sign", job["id"], "--key", file, "--yes")
    assert (status, "no approver of this class" in err) == (4, True)


async def test_a_coordinator_that_contradicts_itself_gets_no_signature(world):
    job = await submit_write(world)
    answered = await world.get(f"/v1/approvals/{job['id']}")
    form = msgspec.json.decode(answered.body, type=ApprovalForm)
    assert checked_spec(form).steps[0].params == {"setpoint": 4200}
    other = await submit_write(world, name="other")
    theirs = msgspec.json.decode(
        (await world.get(f"/v1/approvals/{other['id']}")).body, type=ApprovalForm
    )
    lie: dict[str, Any]
    for lie in (
        {"spec": theirs.spec},
        {"digest": theirs.digest},
        {"name": "harmless"},
        {"agents": ["pump-1"]},
        {"agents": [*form.agents, "pump-3"]},
        {"agents": form.agents[::-1]},
        {"agents": []},
        {"agents_digest": "00" * 32},
        {"spec": ""},
    ):
        with pytest.raises(CallError):
            checked_spec(replace(form, **lie))


async def test_what_is_signed_is_computed_here(world):
    job = await submit_write(world, "pump-1")
    answered = await world.get(f"/v1/approvals/{job['id']}")
    form = msgspec.json.decode(answered.body, type=ApprovalForm)
    wish = Wish(expires_s=3600, max_executions=3, by_selector=False, yes=True)
    now_ms = 1_000_000
    approval = approval_of(form, wish, now_ms=now_ms)
    assert approval.job.hex() == job["digest"]
    assert (approval.author, approval.max_executions) == ("admin", 3)
    assert approval.not_after_ms == now_ms + 3_600_000
    with pytest.raises(MistakeError, match="one by one"):
        approval_of(form, replace_wish(wish, by_selector=True), now_ms=now_ms)


def replace_wish(wish: Wish, **changes: bool) -> Wish:
    fields = {name: getattr(wish, name) for name in Wish.__slots__}
    return Wish(**fields | changes)


# --- tokens and the audit log -------------------------------------------------------------------
async def test_an_admin_makes_lists_and_revokes_tokens(world, run):
    status, out, _ = await run(
        "tokens", "create", "olga", "--scope", "operator", "--scope", "audit:read",
        "--selector", "site=north", "--expires", "12h",
    )  # fmt: skip
    assert status == 0
    token = out.strip()
    assert token.startswith("ost_")
    assert (await run("agents", "list", token=token))[0] == 0
    assert (await run("status", token=token))[0] == 4, "it is for some agents only"
    status, out, _ = await run("tokens", "list")
    assert "olga" in out
    assert token not in out
    token_id = token.split("_")[1]
    assert (await run("tokens", "revoke", token_id))[0] == 0
    assert (await run("agents", "list", token=token))[0] == 4
    assert (await run("tokens", "revoke", "none"))[0] == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tokens", "create", "olga", "--scope", "operater"), "did you mean operator"),
        (("tokens", "create", "Olga", "--scope", "viewer"), "cannot name a token"),
        (("tokens", "create", "olga"), "--scope"),
        (("tokens", "create", "o", "--scope", "viewer", "--expires", "1y"), "30m, 12h or 7d"),
        (("tokens", "create", "o", "--scope", "viewer", "--selector", "a in"), "column"),
    ],
)
async def test_a_mistake_gets_a_sentence_and_status_two(run, arguments, said):
    status, out, err = await run(*arguments)
    assert (status, out) == (2, "")
    assert said in err


async def test_the_audit_log_is_read_on_the_command_line(world, run):
    job = await submit_write(world)
    status, out, _ = await run("audit", "list", "--object", f"job:{job['id']}", "--json")
    (entry,) = json.loads(out)
    assert (status, entry["action"], entry["source"]) == (0, "job.submit", "127.0.0.1")
    status, out, _ = await run("audit", "list", "--action", "job.submit")
    assert (status, job["id"] in out) == (0, True)


async def test_every_noun_speaks_json(world, run, key_of):
    job = await submit_write(world)
    for arguments in (
        ("approvals", "list"),
        ("approvals", "show", job["id"]),
        ("approvals", "deny", job["id"], "--reason", "no"),
        ("tokens", "list"),
        ("audit", "list"),
        ("keys", "show", key_of("ben")),
        ("jobs", "show", job["id"]),
        ("jobs", "list"),
    ):
        status, out, _ = await run(*arguments, "--json")
        assert status == 0, arguments
        json.loads(out)
    status, out, err = await run("approvals", "deny", job["id"], "--reason", "no", "--json")
    assert (status, json.loads(out)["status"]) == (6, 409), "a failure is a problem document"
    assert err
