"""Where the files of tests lie: in memory, if there is room, because no test loses its power.

What a sync protects from is tried by tests/power and the worlds, which count and replay the writes
themselves. Everybody else would only wait: the suite syncs tens of thousands of times.
"""

import os
import shutil
from pathlib import Path

_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 2 << 30
"""Some dozens of databases of PostgreSQL, and a million readings."""


def quick_place() -> Path | None:
    """Return a folder whose syncs cost nothing; None where no tests can live in one.

    Containers often give it 64 MB, and forbid to run what lies there.
    """
    if not os.access(_MEMORY, os.W_OK) or os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC:
        return None
    return _MEMORY if shutil.disk_usage(_MEMORY).free > _ROOM_BYTES else None
