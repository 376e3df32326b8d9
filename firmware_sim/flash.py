"""Flash memory of a simulated microcontroller: erased by sector, programmed by page, cut anywhere.

Owns the rules of NOR flash (an erase sets every bit, a write only clears bits), the time that
operations take, the supply that fails in the middle of one, and the file that keeps the content
across runs. Leaves out what the content means (`mcuboot`, `bootloader`). Nothing here waits: time
adds up and the caller lets it pass.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from shared.errors import MistakeError, Reason, WorldError

SECTOR_BYTES = 4096
"""What one erase takes; the sector of common serial NOR parts and of nRF52 flash."""
PAGE_BYTES = 256
"""What one program operation takes at most, as on serial NOR."""
ERASED = 0xFF


class PowerCutError(Exception):
    """The supply failed in the middle of an operation; what came after it did not happen."""


@dataclass(frozen=True, slots=True)
class FlashTiming:
    """How long one operation takes; zero for tests that are about something else."""

    erase_us: int = 0
    page_us: int = 0


class FlashFile:
    """Keeps flash content in a file, each operation with one system call."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise MistakeError(
                f"cannot open the flash file {path}: {error.strerror}", mend="choose another"
            ) from None
        found = os.fstat(self._fd).st_size
        self.fresh = found == 0
        """Nothing was kept there yet."""
        if found not in {0, size}:
            os.close(self._fd)
            raise MistakeError(
                f"{path} holds {found} bytes, this flash has {size}",
                mend="start with the slot size it was made with, or choose another file",
            )

    def read(self, size: int) -> bytes:
        """Return what is kept."""
        return os.pread(self._fd, size, 0)

    def write(self, offset: int, data: bytes) -> None:
        """Keep a change.

        Raises:
            WorldError: it cannot be written; going on would forget what the device believes.
        """
        try:
            whole = os.pwrite(self._fd, data, offset) == len(data)
        except OSError as error:
            raise WorldError(
                Reason.STORE_FAILED, f"the flash file {self._path}: {error.strerror}"
            ) from error
        if not whole:
            raise WorldError(Reason.STORE_FULL, f"the flash file {self._path}: disk full")

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class Flash:
    """One flash part."""

    def __init__(
        self, size: int, *, timing: FlashTiming | None = None, file: FlashFile | None = None
    ) -> None:
        assert size > 0, "a part has sectors"
        assert size % SECTOR_BYTES == 0, "a part has whole sectors"
        self.size = size
        self.timing = timing if timing is not None else FlashTiming()
        self.slow_erase_us = 0
        """Added to each sector's erase while a fault is on."""
        self.operations = 0
        """Sectors erased and pages programmed so far."""
        self.cut_after: int | None = None
        """The supply fails inside the operation after this many more; None: never."""
        self._busy_us = 0
        self._file = file
        self._content = bytearray(b"\xff" * size)
        if file is not None and file.fresh:
            file.write(0, bytes(self._content))
        elif file is not None:
            self._content[:] = file.read(size)

    def take_busy_ms(self) -> int:
        """Return how long the operations since the last call took, rounded down; keep the rest."""
        passed_ms, self._busy_us = divmod(self._busy_us, 1000)
        return passed_ms

    def read(self, offset: int, size: int) -> bytes:
        """Return content; it costs nothing, as flash is mapped into memory."""
        assert 0 <= offset <= offset + size <= self.size, "a read stays inside of the part"
        return bytes(self._content[offset : offset + size])

    def is_blank(self, offset: int, size: int) -> bool:
        """Tell whether every bit there is set."""
        return self.read(offset, size).count(ERASED) == size

    def erase(self, offset: int, size: int) -> None:
        """Erase the sectors of a range that hold anything.

        Raises:
            PowerCutError: the supply failed; one sector is erased half.
        """
        assert offset % SECTOR_BYTES == 0 == size % SECTOR_BYTES, "only whole sectors are erased"
        for start in range(offset, offset + size, SECTOR_BYTES):
            if self.is_blank(start, SECTOR_BYTES):
                continue
            self._busy_us += self.timing.erase_us + self.slow_erase_us
            if self._fails():
                half = SECTOR_BYTES // 2
                # Which half is gone is nobody's to rely on.
                self._put(start + half * (self.operations % 2), b"\xff" * half)
                raise PowerCutError
            self._put(start, b"\xff" * SECTOR_BYTES)

    def write(self, offset: int, data: bytes) -> None:
        """Program bytes, page by page; a bit that is clear stays clear.

        Raises:
            PowerCutError: the supply failed; the page's first half is written.
        """
        assert 0 <= offset <= offset + len(data) <= self.size, "a write stays inside of the part"
        done = 0
        while done < len(data):
            start = offset + done
            piece = data[done : done + PAGE_BYTES - start % PAGE_BYTES]
            self._busy_us += self.timing.page_us
            failed = self._fails()
            held = int.from_bytes(self._content[start : start + len(piece)])
            page = (held & int.from_bytes(piece)).to_bytes(len(piece))
            self._put(start, page[: len(page) // 2] if failed else page)
            if failed:
                raise PowerCutError
            done += len(piece)

    def _fails(self) -> bool:
        self.operations += 1
        if self.cut_after is None:
            return False
        self.cut_after -= 1
        if self.cut_after >= 0:
            return False
        self.cut_after = None
        return True

    def _put(self, offset: int, data: bytes) -> None:
        self._content[offset : offset + len(data)] = data
        if self._file is not None:
            self._file.write(offset, data)
