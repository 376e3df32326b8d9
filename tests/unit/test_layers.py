"""The import contracts bite: each is kept by the tree and broken by one planted line."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = ("agent", "coordinator", "firmware_sim", "shared")

VIOLATIONS = [
    ("strangers", "agent/services/planted.py", "import coordinator"),
    ("strangers", "coordinator/services/planted.py", "import agent"),
    ("strangers", "firmware_sim/planted.py", "import agent"),
    ("strangers", "shared/runtime/planted.py", "import firmware_sim"),
    ("shared-layers", "shared/model/planted.py", "import shared.wire.codec"),
    ("shared-layers", "shared/block/planted.py", "import shared.trust"),
    ("shared-layers", "shared/helpers.py", "A_MODULE_THAT_NO_LAYER_NAMES = True"),
    ("agent-layers", "agent/core/planted.py", "import agent.store"),
    ("agent-layers", "agent/drivers/planted.py", "import agent.services"),
    ("agent-layers", "agent/helpers.py", "A_MODULE_THAT_NO_LAYER_NAMES = True"),
    ("coordinator-layers", "coordinator/core/planted.py", "import coordinator.store"),
    ("coordinator-layers", "coordinator/transactions/planted.py", "import coordinator.api"),
    ("coordinator-layers", "coordinator/core/planted.py", "import coordinator.contract"),
    ("coordinator-layers", "coordinator/api/planted.py", "import coordinator.cli"),
    ("cli", "coordinator/cli/planted.py", "import coordinator.core"),
    ("cli", "coordinator/cli/planted.py", "import coordinator.api"),
    ("cli", "coordinator/cli/planted.py", "import coordinator.store"),
    ("cores-are-pure", "agent/core/planted.py", "import asyncio"),
    ("cores-are-pure", "coordinator/core/planted.py", "from time import time"),
    ("cores-are-pure", "shared/sync/planted.py", "import secrets"),
    ("cores-are-pure", "shared/model/planted.py", "import shared.runtime.clock"),
    ("codecs-are-pure", "agent/drivers/modbus/codec.py", "import socket"),
    ("one-packer", "agent/services/planted.py", "import msgpack"),
    ("one-packer", "shared/trust/planted.py", "import msgpack"),
    ("devices-from-specifications", "firmware_sim/modbus/planted.py", "import shared.wire.codec"),
    ("programs-on-top", "firmware_sim/modbus/planted.py", "import firmware_sim.demo"),
    ("acyclic", "shared/errors.py", "import shared.ids"),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the four packages and of the contracts."""
    folder = tmp_path_factory.mktemp("tree")
    shutil.copy(PROJECT / "pyproject.toml", folder)
    for package in PACKAGES:
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / package, folder / package, ignore=skip)
    return folder


def lint(tree: Path, *options: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--no-logo", "--no-cache", *options],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_tree_keeps_every_contract(tree):
    result = lint(tree)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("contract", "path", "line"), VIOLATIONS)
def test_one_line_breaks_the_contract(tree, contract, path, line):
    planted = tree / path
    before = planted.read_bytes() if planted.exists() else None
    try:
        planted.write_bytes((before or b"") + f"\n{line}\n".encode())
        result = lint(tree, "--contract", contract)
    finally:
        if before is None:
            planted.unlink()
        else:
            planted.write_bytes(before)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "0 kept, 1 broken" in result.stdout, result.stdout + result.stderr


def test_every_contract_has_a_violation_here():
    rules = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert {rule["id"] for rule in rules["contracts"]} == {row[0] for row in VIOLATIONS}
