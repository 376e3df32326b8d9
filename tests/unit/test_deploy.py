"""What docs/deploy holds can be used: units are units, and name options that there are."""

import argparse
import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from coordinator.commands.run import add
from coordinator.keys.directory import DataDirectory

DEPLOY = Path(__file__).resolve().parents[2] / "docs" / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))


def read(unit):
    parser = configparser.RawConfigParser(strict=False)  # a name may stand twice
    parser.read(unit)
    return parser


def known_options():
    commands = argparse.ArgumentParser().add_subparsers()
    add(commands)
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
    root = DEPLOY.parents[1]
    text = (DEPLOY / "Containerfile").read_text()
    for name in re.findall(r"(?m)^COPY (?!--from)(.+) \S+$", text):
        for part in name.split():
            assert (root / part).exists(), part
