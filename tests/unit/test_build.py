"""A wheel knows when it was built, and an agent from it does not believe an earlier time."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import agent.services.guard
from shared.clock import Instant, MonoMs, WallMs
from shared.runtime.build import STAMP, built_ms
from shared.trust.floor import begun_anew, first_floor
from tests.unit.trust_world import NOW, make_root

PROJECT = Path(__file__).resolve().parents[2]
BUILT_S = NOW // 1000


def built(tmp_path: Path, *options: str) -> Path:
    """Build the package `shared` alone; return where the stamp belongs."""
    source, target = tmp_path / "source", tmp_path / "built"
    shutil.copytree(PROJECT / "shared", source / "shared")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(target), *options],
        cwd=source,
        env=os.environ | {"SOURCE_DATE_EPOCH": str(BUILT_S)},
        check=True,
        capture_output=True,
    )
    return target / STAMP.relative_to(PROJECT)


def test_a_wheel_says_when_it_was_built(tmp_path: Path) -> None:
    assert built_ms(built(tmp_path)) == BUILT_S * 1000


def test_a_checkout_was_never_built() -> None:
    assert built_ms() == 0
    assert built_ms() == agent.services.guard.BUILD_MS


def test_the_floor_begins_at_the_build_and_goes_back_there_at_most() -> None:
    root, at = make_root(), Instant(wall_ms=WallMs(0), mono_ms=MonoMs(0), boot_id=bytes(16))
    early, late = WallMs(root.issued_ms - 1), WallMs(root.issued_ms + 1)
    for build_ms, floor_ms in ((early, root.issued_ms), (late, late)):
        kept = first_floor(root, build_ms=build_ms, at=at)
        assert kept.floor_ms == floor_ms
        assert begun_anew(kept, root, build_ms=build_ms).floor_ms == floor_ms
