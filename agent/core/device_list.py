"""What is attached here, by whom, how it is, and what was found: `outstation-agent devices`. Pure.

Owns its rows and their text. Leaves out gathering them (`agent.technician`), and changing anything:
letting a device go is an order of the fleet's, the site's own word is `[discovery] aside`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from agent.core.adopted import Adopted
from agent.core.candidates import Candidate
from agent.core.device import DeviceSettings
from agent.core.status import DeviceStatus
from agent.core.status_text import Line, Tone, span

Whence = Literal["file", "adopted", "aside"]


class DeviceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One device."""

    id: str
    place: str
    """``BUS/ADDRESS``."""
    profile: str
    whence: Whence
    """The local file; an order from afar; such an order that the local file leaves alone."""
    state: str
    """``ok``, ``silent``, ``unasked``, ``unpolled`` (only jobs ask it), ``aside``, ``unknown``
    (the agent does not run)."""
    silent_s: int | None = None
    problem: str = ""


class CandidateRow(msgspec.Struct, frozen=True, kw_only=True):
    """One device that nobody attached."""

    place: str
    vendor: str
    model: str
    serial: str
    lost: bool
    says_it_is: str
    """The attached device that it says it is; empty: none."""


class DeviceList(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` prints."""

    devices: list[DeviceRow]
    candidates: list[CandidateRow]


def device_rows(
    devices: Sequence[DeviceSettings],
    found: Mapping[str, DeviceStatus],
    afar: Mapping[str, Adopted],
    aside: Sequence[str],
) -> list[DeviceRow]:
    """Return the devices in the order of the file, those that are left alone after them.

    Args:
        devices: all that are attached.
        found: how those of a running agent are, by id.
        afar: what came from afar, by id.
        aside: of them, what the local file leaves alone.
    """
    rows = []
    for device in devices:
        told = found.get(device.id)
        rows.append(
            DeviceRow(
                id=device.id,
                place=f"{device.bus}/{device.address}",
                profile=device.profile.name,
                whence="adopted" if device.id in afar else "file",
                state="unknown" if told is None else _state(told),
                silent_s=None if told is None else told.silent_s,
                problem="" if told is None else told.problem,
            )
        )
    for name in aside:
        place = f"{afar[name].bus}/{afar[name].address}"
        rows.append(DeviceRow(id=name, place=place, profile="", whence="aside", state="aside"))
    return rows


def candidate_row(one: Candidate) -> CandidateRow:
    """Return a candidate as it is shown."""
    return CandidateRow(
        place=one.place,
        vendor=one.vendor,
        model=one.model,
        serial=one.serial,
        lost=one.lost,
        says_it_is=one.device,
    )


def lines_of(told: DeviceList) -> Iterator[Line]:
    """Return the list for people, as narrow as the status."""
    if not told.devices:
        yield Line("no device is attached here")
    for one in told.devices:
        silent = "SILENT" if one.silent_s is None else f"SILENT for {span(one.silent_s)}"
        how = {
            "ok": "ok",
            "silent": silent,
            "unasked": "not asked yet",
            "unpolled": "only jobs ask it",
            "unknown": "-",
            "aside": "left alone by agent.toml",
        }[one.state]
        yield Line(f"{one.id:<13} {how}", Tone.BAD if one.state == "silent" else Tone.PLAIN)
        whence = "" if one.whence == "file" else ", from afar"
        yield Line(f"  {one.place}{', ' + one.profile if one.profile else ''}{whence}")
        if one.problem:
            yield Line(f"  {one.problem}", Tone.BAD)
    if told.candidates:
        yield Line("found, and not attached", Tone.HEAD)
    for each in told.candidates:
        said = " ".join(filter(None, (each.vendor, each.model, each.serial))) or "says nothing"
        yield Line(f"{each.place:<13} {said}{' (LOST)' if each.lost else ''}")
        if each.says_it_is:
            yield Line(f"  says it is {each.says_it_is}", Tone.WARN)


def _state(told: DeviceStatus) -> str:
    if told.failed:
        return "silent"
    if told.standing == "unpolled":
        return "unpolled"
    return "ok" if told.polls else "unasked"
