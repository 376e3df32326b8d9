"""Memory that a process no longer needs, handed back to the kernel or looked for less often.

Owns three measures. Pages of program code that were mapped once: a start runs through most of
libpython, OpenSSL and SQLite, and the kernel maps sixteen pages around each one that is touched;
what goes on running needs a fraction of them. What a start leaves free on the heap. And how often a
busy process looks for cycles.
"""

import contextlib
import ctypes
import gc
import re
from collections.abc import Iterator
from pathlib import Path

from shared import limits

_SMAPS = Path("/proc/self/smaps")
_MAPPING = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ (\d+)")
_UNCHANGEABLE = (b"r-xp", b"r--p")
_DIRTY = b"Private_Dirty:"
_MADV_DONTNEED = 4
"""madvise(2): the pages go from this process; a touch maps them from the file again."""


def hand_back_code() -> int:
    """Unmap the pages of programs and libraries that cannot change; return how many bytes.

    They stay in the kernel's cache, shared with everybody, and come back one fault at a time when
    they run again. Where the kernel has no such call nothing happens.
    """
    done = 0
    with contextlib.suppress(OSError, AttributeError):
        advise = ctypes.CDLL(None).madvise
        advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        for start, size in _code():
            if advise(start, size, _MADV_DONTNEED) == 0:
                done += size
    return done


def hand_back_heap() -> None:
    """Collect what nobody refers to any more, and give free memory at the heap's end back.

    A start leaves both behind: texts that were parsed, tables that were computed from. It takes
    some ten milliseconds of processor time: once is enough. Where the C library has no such call
    (`malloc_trim(3)` is glibc's) only the collection happens.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def collect_rarely() -> None:
    """Look for cycles once in many thousand new objects, and never among those of the start.

    Nearly all that a busy server makes goes by its counts. By default each 700 objects that are
    alive at once, a few contacts, send the collector through them: a tenth of the processor's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(limits.GC_OBJECTS, *gc.get_threshold()[1:])


def _code() -> Iterator[tuple[int, int]]:
    """Return address and size of each mapping that is code, or constants, as in its file."""
    found: tuple[int, int] | None = None
    for line in _SMAPS.read_bytes().splitlines():
        if mapping := _MAPPING.match(line):
            start, end = int(mapping[1], 16), int(mapping[2], 16)
            is_code = mapping[3] in _UNCHANGEABLE and mapping[4] != b"0"
            found = (start, end - start) if is_code else None
        # A page that was written to, by a relocation or a debugger, is nowhere else.
        elif found and line.startswith(_DIRTY) and int(line.split()[1]) == 0:
            yield found
