"""The house as a person meets it: make, the choice of a Python, the installed programs."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
CHOOSER = PROJECT / "constraints" / "python.sh"
PROGRAMS = {"outstation", "outstation-agent", "outstation-coordinator", "outstation-sim"}
STAMPS = (".made", ".demo", ".test", ".dev", ".lock", ".project")


def run(*command, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, check=False, **options
    )


@pytest.fixture
def bin_folder(tmp_path):
    """A PATH that holds nothing but the programs a test puts there, and a shell."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sh").symlink_to("/bin/sh")
    return folder


def program(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


# --- the choice of a Python ---------------------------------------------------------------------
def choose(bin_folder, **environment):
    return run("sh", str(CHOOSER), env={"PATH": str(bin_folder), **environment})


def test_the_first_python_that_is_new_enough_is_taken(bin_folder):
    program(bin_folder / "python3", "exit 1")
    (bin_folder / "python3.12").symlink_to(sys.executable)
    result = choose(bin_folder)
    assert (result.stdout, result.stderr, result.returncode) == ("python3.12\n", "", 0)


def test_an_old_python_is_refused_in_one_sentence(bin_folder):
    program(bin_folder / "python3", "exit 1")
    result = choose(bin_folder)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "Python 3.11 or newer is needed" in result.stderr


def test_a_named_python_is_the_only_candidate(bin_folder):
    (bin_folder / "python3").symlink_to(sys.executable)
    result = choose(bin_folder, PYTHON="/nowhere/python3")
    assert result.returncode == 1
    assert "/nowhere/python3" in result.stderr


def test_a_missing_ensurepip_is_said_in_one_sentence(bin_folder):
    program(bin_folder / "python3", 'case "$2" in *ensurepip*) exit 1;; esac')
    result = choose(bin_folder)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "ensurepip" in result.stderr
    assert "apt install python3-venv" in result.stderr


# --- make ---------------------------------------------------------------------------------------
@pytest.fixture
def installed(tmp_path):
    """An environment with everything installed, whose Python echoes its arguments."""
    venv = tmp_path / "venv"
    program(venv / "bin" / "python", 'echo "told: $*"', 'echo "{}"', 'exit "${CODE:-0}"')
    for stamp in STAMPS:
        (venv / stamp).touch()
    return venv


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # Without what an outer make hands down: this is a person's own call.
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return run("make", *arguments, env={**kept, **environment})


def test_make_alone_lists_every_target():
    result = make()
    text = (PROJECT / "Makefile").read_text()
    (phony,) = (line for line in text.splitlines() if line.startswith(".PHONY:"))
    targets = phony.split()[1:]
    assert {"install", "demo", "test", "check", "bench", "sim", "lock", "clean"} <= set(targets)
    assert [target for target in targets if f"make {target} " not in result.stdout] == []


def test_make_demo_passes_its_arguments_on_and_adds_no_line(installed):
    result = make("demo", f"VENV={installed}", "ARGS=--once --json")
    told, last = result.stdout.splitlines()
    assert told == "told: -m firmware_sim demo --once --json"
    assert json.loads(last) == {}
    assert result.returncode == 0


def test_make_demo_fails_when_a_promise_failed(installed):
    result = make("demo", f"VENV={installed}", CODE="1")
    assert result.returncode != 0
    assert result.stdout.splitlines()[-1] == "{}"


def test_make_test_leaves_foreign_software_out(installed):
    result = make("test", f"VENV={installed}", "ARGS=-k block")
    told = r"told: -m pytest -m not peer -n \d+ --dist worksteal -k block"
    assert re.fullmatch(told, result.stdout.splitlines()[0])


# --- what is installed --------------------------------------------------------------------------
@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_a_console_program_explains_itself(name):
    result = run(str(Path(sys.executable).with_name(name)), "--help")
    assert result.returncode == 0, result.stderr
    assert name in result.stdout
    version = run(str(Path(sys.executable).with_name(name)), "--version")
    assert version.stdout.split()[-1] == distribution("outstation").version


def test_no_other_console_program_is_installed():
    ours = distribution("outstation").entry_points.select(group="console_scripts")
    assert {point.name for point in ours} == PROGRAMS


@pytest.mark.slow
def test_the_wheel_carries_data_files_and_no_tests(tmp_path):
    tree = tmp_path / "tree"
    skip = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "tests")
    shutil.copytree(PROJECT, tree, ignore=skip)
    (tree / "tests").mkdir()
    (tree / "tests" / "__init__.py").touch()
    build = ("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    result = run(sys.executable, "-m", "pip", *build, "--wheel-dir", str(tmp_path), str(tree))
    assert result.returncode == 0, result.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        carried = {name for name in archive.namelist() if ".dist-info/" not in name}
    packages = ("agent", "coordinator", "firmware_sim", "shared")
    kinds = {".py", ".sql", ".toml", ".html", ".js", ".css", ".svg"}
    expected = {
        str(path.relative_to(tree))
        for package in packages
        for path in (tree / package).rglob("*")
        if path.suffix in kinds
    }
    # When it was built: an agent's time begins there.
    assert carried == expected | {"shared/runtime/built_s"}
