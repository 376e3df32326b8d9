"""What docs/deploy holds can be used: units are units, and name options that there are."""

import argparse
import configparser
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from coordinator.api.routes import ROUTES
from coordinator.commands import claim, init, run
from coordinator.commands.options import PORT
from coordinator.keys.directory import DataDirectory
from shared import limits

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "docs" / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))


def read(unit):
    parser = configparser.RawConfigParser(strict=False)  # a name may stand twice
    parser.read(unit)
    return parser


def known_options():
    commands = argparse.ArgumentParser().add_subparsers()
    run.add(commands)
    return set(commands.choices["run"]._option_string_actions)


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_a_unit_gives_its_program_no_more_than_it_needs(unit):
    service = read(unit)["Service"]
    for name in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "RestrictSUIDSGID"):
        assert service[name] == "yes", name
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    assert service["User"] == "outstation"
    assert service["StateDirectoryMode"] == "0700"


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
def test_systemd_understands_a_unit(unit, tmp_path):
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"/usr/bin/outstation-\w+", "/bin/true", unit.read_text()))
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stderr) == (0, "")


def test_options_that_are_shown_are_options_of_the_program():
    compose = re.sub(r"(?m)^ *#.*$", "", (DEPLOY / "compose.yaml").read_text())
    unit = read(DEPLOY / "outstation-coordinator.service")["Service"]["ExecStart"]
    for text in (compose, unit):
        shown = set(re.findall(r"(?:- |run .*?)(--[a-z-]+)(?:=| )", text))
        assert shown
        assert shown <= known_options(), shown


def test_the_place_that_is_kept_is_the_one_that_is_served():
    compose = (DEPLOY / "compose.yaml").read_text()
    assert "keys:/var/lib/outstation" in compose
    assert DataDirectory(Path("/var/lib/outstation")).keys == Path("/var/lib/outstation/keys")
    assert "VOLUME /var/lib/outstation" in (DEPLOY / "Containerfile").read_text()


def test_packages_that_the_container_copies_are_there():
    text = (DEPLOY / "Containerfile").read_text()
    for name in re.findall(r"(?m)^COPY (?!--from)(.+) \S+$", text):
        for part in name.split():
            assert (ROOT / part).exists(), part


def test_the_context_of_the_image_is_what_it_copies():
    copied = re.findall(r"(?m)^COPY (?!--from)(.+) \S+$", (DEPLOY / "Containerfile").read_text())
    kept = re.findall(r"(?m)^!(\S+)$", (ROOT / ".dockerignore").read_text())
    assert sorted(kept) == sorted(part for names in copied for part in names.split())


def test_the_image_installs_pins_of_everything_that_its_programs_import():
    text = (DEPLOY / "Containerfile").read_text()
    assert "--require-hashes -r constraints/server.txt" in text
    assert "--no-deps --no-build-isolation ." in text
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [
        project["dependencies"],
        *(extras[name] for name in ("coordinator", "postgres", "cli")),
    ]
    pinned = re.findall(r"(?m)^([a-z0-9-]+)==", (ROOT / "constraints" / "server.txt").read_text())
    assert {re.split(">=", one)[0] for names in wanted for one in names} <= set(pinned)


def test_a_fleet_is_founded_in_the_image_s_own_empty_folder():
    text = (DEPLOY / "Containerfile").read_text()
    assert "--no-create-home" in text  # a home that is made holds files
    assert "--mode=0700 /var/lib/outstation" in text


def test_everybody_speaks_of_one_port():
    compose, haproxy = (DEPLOY / "compose.yaml").read_text(), (DEPLOY / "haproxy.cfg").read_text()
    assert f"--listen=0.0.0.0:{PORT}" in compose
    assert f'"{PORT}:{PORT}"' in compose
    assert f"https://127.0.0.1:{PORT}/readyz" in compose
    assert f"EXPOSE {PORT}" in (DEPLOY / "Containerfile").read_text()
    for name in ("coordinator-1", "coordinator-2"):
        assert f"  {name}:\n    <<: *coordinator" in compose
        assert f"{name}:{PORT}" in haproxy
    assert ("GET", "/readyz") in {(route.method, route.path) for route in ROUTES}


def test_the_balancer_may_open_what_it_is_told_to_hold():
    most = int(re.findall(r"maxconn (\d+)", (DEPLOY / "haproxy.cfg").read_text())[0])
    files = int(re.findall(r"nofile: (\d+)", (DEPLOY / "compose.yaml").read_text())[0])
    assert files > 2 * most + 1_000


def test_a_database_that_is_still_being_founded_is_not_healthy():
    assert "pg_isready -h 127.0.0.1 " in (DEPLOY / "compose.yaml").read_text()


def test_a_drain_ends_before_it_is_cut_off():
    compose = (DEPLOY / "compose.yaml").read_text()
    drain_s = int(re.findall(r"--drain=(\d+)", compose)[0])
    grace_s = int(re.findall(r"stop_grace_period: (\d+)s", compose)[0])
    assert 0 < drain_s <= limits.DRAIN_MOST_S
    assert grace_s >= drain_s + 10
    looks_s = re.findall(r"inter (\d+)s fall (\d+)", (DEPLOY / "haproxy.cfg").read_text())[0]
    assert drain_s >= int(looks_s[0]) * int(looks_s[1])


def test_commands_in_the_head_of_the_composition_are_taken_by_the_program():
    head = (DEPLOY / "compose.yaml").read_text().partition("x-coordinator")[0]
    text = re.sub(r"\\\n# +", "", head)
    commands = re.findall(r"coordinator-1 (?:outstation-coordinator )?((?:init|claim) .+)", text)
    assert [command.split()[0] for command in commands] == ["init", "claim"]
    parser = argparse.ArgumentParser()
    known = parser.add_subparsers()
    for module in (init, claim):
        module.add(known)
    for command in commands:
        assert parser.parse_args(command.split()).database.startswith("postgresql://")
