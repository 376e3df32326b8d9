"""`outstation import` and `outstation export`: what somebody carried from a site, and back.

Owns the files: each is read parcel by parcel, however large; one that is written appears whole or
not at all. Whatever is wrong with one file does not keep the others from being taken in.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from coordinator.cli.client import CallError, Client, Exit, segment
from coordinator.cli.show import Screen
from coordinator.cli.stick_files import FILE_BYTES, load_files
from coordinator.contract.sticks import (
    FILES_HEADER,
    NO_STORE,
    SEAL_HEADER,
    STICK_TYPE,
    WORK_HEADER,
    ParcelView,
)
from shared.errors import MistakeError, RefusedError
from shared.runtime.files import replacing
from shared.sync.stick import END, Direction, StickDecoder
from shared.words import some

_READ_BYTES = 1 << 18
_ENOUGH = 3
"""Parcels that are refused before the rest of such a stick is not even sent."""


class FileView(msgspec.Struct):
    """What one file brought."""

    file: str
    agents: list[str] = []
    parcels: int = 0
    blocks: int = 0
    readings: int = 0
    duplicates: int = 0
    receipts: int = 0
    refused: int = 0
    """Parcels that were not used."""
    problem: str = ""


@dataclass(slots=True)
class _Result:
    views: list[FileView] = field(default_factory=list)
    code: Exit = Exit.OK


def bring(client: Client, screen: Screen, places: Sequence[Path]) -> Exit:
    """Take in sticks; a folder stands for every file in it. Exit 1 unless all were whole."""
    result = _Result()
    for path in _files(places):
        view = FileView(str(path))
        result.views.append(view)
        try:
            for parcel in _parcels(path):
                _send(client, parcel, view)
                if view.refused >= _ENOUGH and not view.parcels:
                    break
                if not screen.as_json:
                    screen.progress(f"{path}: {view.parcels} parcels")
        except (MistakeError, RefusedError) as error:
            view.problem = str(error)
        if view.problem or view.refused:
            result.code = Exit.FAILED
        if not screen.as_json:
            screen.progress("")
            _tell(screen, view)
    if screen.as_json:
        screen.json(result.views)
    return result.code


def take_away(client: Client, screen: Screen, agent: str, path: Path) -> Exit:
    """Write a stick for an agent."""
    try:
        with replacing(path, mode=None) as file:
            data, headers = client.post_raw(
                f"/v1/agents/{segment(agent)}/stick", b"", content_type=STICK_TYPE
            )
            assert data.endswith(END), "a stick ends"
            file.write(data[: -len(END)])
            named, seal_key = headers.get(FILES_HEADER, ""), headers.get(SEAL_HEADER, "")
            room = path.parent, FILE_BYTES - len(data)
            loaded = load_files(client, file, data, named, seal_key=seal_key, room=room)
            file.write(END)
    except OSError as error:
        raise MistakeError(f"cannot be written ({error.strerror})", where=str(path)) from error
    work = headers.get(WORK_HEADER, "0")
    if screen.as_json:
        screen.json(
            {"file": str(path), "agent": agent, "bytes": len(data)}
            | {"executions": None if work == NO_STORE else int(work)}
            | {"files": loaded.files, "file_bytes": loaded.bytes, "left": loaded.left}
        )
        return Exit.OK
    if work == NO_STORE:
        screen.text(
            f"{path}: documents for {agent}; no work: bring a stick from it first, so that it is"
            " known what it remembers"
        )
    else:
        screen.text(f"{path}: {some(int(work), 'execution')} and what is acknowledged, for {agent}")
    if loaded.files:
        screen.text(f"with it, {some(loaded.files, 'file')} for this work: {loaded.bytes} bytes")
    for what in loaded.left:
        screen.text(f"not on it: {what}")
    return Exit.OK


def _files(places: Sequence[Path]) -> Iterator[Path]:
    for place in places:
        if not place.is_dir():
            yield place
            continue
        # Hidden ones are half written, or a file system's own.
        found = sorted(one for one in place.iterdir() if one.is_file() and one.name[0] != ".")
        if not found:
            raise MistakeError("holds no files", where=str(place))
        yield from found


def _parcels(path: Path) -> Iterator[bytes]:
    """Yield each parcel of a file below the stick's header.

    Raises:
        MistakeError: it cannot be read, is no stick, or goes the other way.
        RefusedError: it is damaged, after everything that is whole.
    """
    decoder = StickDecoder()
    count = 0
    try:
        with path.open("rb") as file:
            while data := file.read(_READ_BYTES):
                for sealed in _fed(decoder, data, path, count):
                    count += 1
                    assert decoder.header is not None, "a parcel follows the header"
                    yield decoder.header.encode() + len(sealed).to_bytes(4) + sealed
    except OSError as error:
        raise MistakeError(f"cannot be read ({error.strerror})", where=str(path)) from error
    if decoder.header is None:
        raise MistakeError("is no stick", where=str(path))
    try:
        decoder.finish()
    except RefusedError as error:
        raise _damaged(path, error, count) from None


def _fed(decoder: StickDecoder, data: bytes, path: Path, count: int) -> Iterable[bytes]:
    parcels: Sequence[bytes] = ()
    damage: RefusedError | None = None
    try:
        parcels = decoder.feed(data)
    except RefusedError as error:
        if decoder.header is None:
            raise MistakeError("is no stick", where=str(path)) from None
        damage = error
    if decoder.header is not None and decoder.header.direction is Direction.DOWN:
        raise MistakeError(
            "is on its way to an agent", where=str(path), mend="outstation-agent import FILE there"
        )
    if damage is not None:
        raise _damaged(path, damage, count)
    return parcels


def _damaged(path: Path, error: RefusedError, count: int) -> RefusedError:
    whole = f"taken in: {some(count, 'whole parcel')}" if count else "nothing was taken in"
    return RefusedError(error.reason, f"{path}: {error.detail}; {whole}")


def _send(client: Client, parcel: bytes, view: FileView) -> None:
    try:
        body, _ = client.post_raw("/v1/parcels", parcel, content_type=STICK_TYPE)
    except CallError as error:
        if error.problem is None or not error.problem.reason:
            raise  # the connection, the token or the coordinator, not what was carried
        # The parcel is at fault: what else is on the stick may still be good.
        view.refused += 1
        view.problem = f"{view.file}: a parcel was refused: {error}"
        return
    brought = msgspec.json.decode(body, type=ParcelView)
    view.parcels += 1
    view.blocks += brought.blocks
    view.readings += brought.readings
    view.duplicates += brought.duplicates
    view.receipts += brought.receipts
    if brought.agent not in view.agents:
        view.agents.append(brought.agent)


def _tell(screen: Screen, view: FileView) -> None:
    if view.parcels:
        screen.text(
            f"{view.file}: {some(view.readings, 'reading')} in {some(view.blocks, 'new block')}"
            f" (here before: {view.duplicates}), {some(view.receipts, 'receipt')},"
            f" of {', '.join(view.agents)}"
        )
    if view.problem:
        screen.warn(view.problem)
