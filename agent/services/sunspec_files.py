"""Files of which a profile is made: definitions of SunSpec models, and registers written down.

Owns telling the two apart and the text of the second. A line of a dump is an address and its word,
as spreadsheets and `mbpoll` write them; everything else of a line is taken for what it is, a
mistake. Leaves out what they mean (`agent.core.sunspec_model`).
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agent.core.sunspec_model import SunSpecModel, sunspec_model
from agent.services.sunspec_import import Dump
from shared import limits
from shared.errors import MistakeError
from shared.model.registers import ADDRESSES

_NUMBER: Final = r"(0x[0-9a-fA-F]{1,4}|\d{1,5})"
_LINE: Final = re.compile(rf"\[?{_NUMBER}\]?\s*[,;:\t ]\s*{_NUMBER}(?:\s+\(-\d{{1,5}}\))?")
"""An address and a word; `mbpoll` adds what the word is with a sign."""
_WORDS: Final = 0x1_0000


def read_files(paths: Sequence[Path]) -> tuple[list[SunSpecModel], Dump | None]:
    """Return the models that files define, and the registers that one of them holds.

    Raises:
        MistakeError: one cannot be read, or is neither; there are two of the second kind.
    """
    if len(paths) > limits.SUNSPEC_FILES:
        raise MistakeError(f"{len(paths)} files, at most {limits.SUNSPEC_FILES} are taken")
    models: list[SunSpecModel] = []
    dumps: list[Dump] = []
    for path in paths:
        data = _read(path)
        if data.lstrip()[:1] == b"{":
            models.append(sunspec_model(data, source=str(path)))
        else:
            dumps.append(_dump(data.decode("utf-8", "replace"), str(path)))
    if len(dumps) > 1:
        what = "the registers of one device make one profile"
        raise MistakeError(what, where=dumps[1].source, mend="import one device after the other")
    return models, dumps[0] if dumps else None


def _dump(text: str, source: str) -> Dump:
    cells: dict[int, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        said = line.strip()
        found = _LINE.fullmatch(said)
        if found is None and (not said or said.startswith("#") or (number == 1 and not cells)):
            continue
        address, word = map(_number, found.groups()) if found else (-1, -1)
        if not (0 <= address <= ADDRESSES and 0 <= word < _WORDS):
            raise MistakeError(
                f"{said[:40]!r} is no address and register",
                where=f"{source} line {number}",
                mend="write for example 40000,21365",
            )
        cells[address] = word
    return Dump(cells, source=source)


def _number(text: str) -> int:
    """Return a number, which spreadsheets may fill up with zeros.

    >>> _number("00066"), _number("0x6e53")
    (66, 28243)
    """
    return int(text, 16 if text.startswith("0x") else 10)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limits.DUMP_BYTES + 1)
    except OSError as error:
        raise MistakeError(f"cannot be read ({error.strerror})", where=str(path)) from error
    if len(data) > limits.DUMP_BYTES:
        raise MistakeError(f"the file is longer than {limits.DUMP_BYTES} bytes", where=str(path))
    return data
