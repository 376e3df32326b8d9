"""Unpack the SMP servers of Zephyr that smpclient's source distribution carries; `make peers`.

`zephyr.py FOLDER LIST`: FOLDER gets the programs, LIST is the pinned list that names smpclient.
pip checks the download against that list's hash. Nothing of it is ours to pass on: the programs
stay beside the environment that they are tested from.
"""

import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_NAME = "smpclient"
_WITHIN = "/tests/fixtures/smp-server/"
_PROGRAM = 0o755


def main(folder: Path, pinned: Path) -> None:
    """Download, unpack, and leave nothing else behind."""
    with tempfile.TemporaryDirectory() as place:
        wish = Path(place, "wish.txt")
        wish.write_text("\n".join(_entry(pinned)) + "\n")
        subprocess.run(  # noqa: S603 - our own list, without a shell
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--no-binary", _NAME, "--require-hashes", "--dest", place, "-r", str(wish)),
            ],
            check=True,
        )
        (archive,) = Path(place).glob(f"{_NAME}-*.tar.gz")
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as files:
            for member in files:
                if not member.isfile() or _WITHIN not in member.name:
                    continue
                content = files.extractfile(member)
                assert content is not None, "a file has content"
                target = folder / PurePosixPath(member.name).name
                target.write_bytes(content.read())
                if target.suffix == ".exe":
                    target.chmod(_PROGRAM)


def _entry(pinned: Path) -> Iterator[str]:
    """Yield the lines of the pinned list that belong to the one package."""
    inside = False
    for line in pinned.read_text().splitlines():
        if not line.startswith((" ", "#")):
            inside = line.startswith(f"{_NAME}==")
        if inside:
            yield line


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
