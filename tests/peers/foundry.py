"""Keys and images of MCUboot's own imgtool."""

import subprocess
import sys
from pathlib import Path

from tests.sim_parts import HANG_S

BIN = Path(sys.prefix) / "peers" / "bin"


def imgtool(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "imgtool", *map(str, arguments)],
        capture_output=True, text=True, timeout=HANG_S, check=False,
    )  # fmt: skip


class Foundry:
    """Keys and images, made by imgtool."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("ours", "theirs"):
            assert imgtool("keygen", "-t", "ed25519", "-k", self.key(name)).returncode == 0
        self.first = self.image("1.0.0")

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def image(self, version: str, *more: object, key: str = "ours", body: bytes = b"") -> Path:
        raw, signed = self.folder / "raw.bin", self.folder / f"{version}-{key}.bin"
        raw.write_bytes(b"firmware " + version.encode() + b"\n" + body + b"\0" + bytes(40_000))
        made = imgtool(
            *("sign", "--key", self.key(key), "--version", version, "--header-size", "0x20"),
            *("--pad-header", "--slot-size", "0x40000", "--align", "4", *more, raw, signed),
        )
        assert made.returncode == 0, made.stdout + made.stderr
        return signed
