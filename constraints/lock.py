"""Resolves pyproject.toml and peers.in into the hash-pinned lists of this folder: `make lock`.

Owns which list holds which extras. Each list contains the ones before it and is resolved under the
widest of them, so that one version of a package is pinned everywhere; foreign software that only
`make peers` runs has a list, and an environment, of its own. Leaves out how they are installed (the
Makefile) and why they exist (docs/adr/0004). `make lock ARGS=--upgrade` moves every pin to the
newest version that pyproject.toml and peers.in allow; without it only what must change changes.
"""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PROJECT = FOLDER.parent / "pyproject.toml"
PEERS = FOLDER / "peers.in"
LISTS = {
    "dev.txt": ("demo", "test", "check", "build"),
    "test.txt": ("demo", "test", "build"),
    "demo.txt": ("demo", "build"),
    "server.txt": ("coordinator", "postgres", "cli", "build"),
    "lock.txt": ("lock",),
    "peers.txt": (),
}
"""List -> extras; the widest first, because it constrains the others."""
WIDEST = "dev.txt"
FREE = {"lock.txt", "peers.txt"}
"""Lists that are never installed beside the others, and so need not agree with them."""


def resolve(name: str, extras: tuple[str, ...], options: list[str]) -> None:
    """Write one list; the resolver's own message is the error a person sees."""
    command = [
        *(sys.executable, "-m", "uv", "pip", "compile", "--quiet"),
        str(PROJECT if extras else PEERS),
        *("--universal", "--python-version", "3.11", "--generate-hashes"),
        *("--no-emit-index-url", "--no-emit-find-links", "--no-annotate"),
        *("--custom-compile-command", "make lock"),
        *("--output-file", str(FOLDER / name)),
    ]
    for extra in extras:
        command += ["--extra", extra]
    if name not in {WIDEST, *FREE}:
        command += ["--constraints", str(FOLDER / WIDEST)]
    subprocess.run([*command, *options], check=True)  # noqa: S603 - a fixed command, run by hand


if __name__ == "__main__":
    for list_name, its_extras in LISTS.items():
        try:
            resolve(list_name, its_extras, sys.argv[1:])
        except subprocess.CalledProcessError as error:
            sys.exit(error.returncode)
        print(f"-> constraints/{list_name}", file=sys.stderr)  # noqa: T201 - a program's progress
