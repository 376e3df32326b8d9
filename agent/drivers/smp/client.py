"""The commands of one SMP device that the agent uses, asked over its bus.

Owns numbering, the step back to the protocol's first version, and typed answers. Leaves out points
(`driver`) and uploads (`upload`). Group and command numbers are Zephyr's.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agent.core.firmware import SlotImage
from agent.core.ports import Bus, Urgency
from agent.drivers.smp.burst import Burst, Ended
from agent.drivers.smp.codec import Dialect, Framing, Question
from agent.drivers.smp.packet import (
    IMAGE_GROUP,
    NOT_SUPPORTED,
    READ,
    TOO_NEW,
    V1,
    V2,
    WRITE,
    Refusal,
    Reply,
    Request,
)
from shared import limits
from shared.errors import Reason, WorldError

OS, STAT, SETTINGS, FILES = 0, 2, 3, 8
_ANSWER_BYTES = 128
"""Taken for an answer's length where nobody knows better: what a slow line is waited for."""


class Client:
    """One device's commands."""

    def __init__(self, bus: Bus, *, unit: int) -> None:
        serial = not bus.settings.url.startswith("udp:")
        framing = Framing.CONSOLE if serial else Framing.DATAGRAM
        self._bus = bus
        self._dialect = Dialect(framing=framing, version=V2, unit=unit)
        self._number = 0
        self._buffers: tuple[int, int] | None = None

    @property
    def dialect(self) -> Dialect:
        """Return how the device is spoken to, as far as it has taught us."""
        return self._dialect

    def sequence(self) -> int:
        """Return the next request's number."""
        self._number = (self._number + 1) % 256
        return self._number

    async def ask(
        self,
        request: Request,
        *,
        urgency: Urgency = Urgency.COMMAND,
        answer_bytes: int = _ANSWER_BYTES,
        least_wait_ms: int = 0,
    ) -> Reply:
        """Return the device's answer, its no included.

        Raises:
            WorldError: no answer.
        """
        reply = await self._ask_once(request, urgency, answer_bytes, least_wait_ms)
        too_new = isinstance(reply, Refusal) and reply.group is None and reply.rc == TOO_NEW
        if too_new and self._dialect.version != V1:
            self._dialect = replace(self._dialect, version=V1)
            reply = await self._ask_once(request, urgency, answer_bytes, least_wait_ms)
        return reply

    async def _ask_once(
        self, request: Request, urgency: Urgency, answer_bytes: int, least_wait_ms: int
    ) -> Reply:
        question = Question(
            request,
            self._dialect,
            sequence=self.sequence(),
            repeatable=request.op == READ,
            answer_bytes=answer_bytes,
            least_wait_ms=least_wait_ms,
        )
        return await self._bus.exchange(question.frame, question, urgency=urgency)

    async def told(self, request: Request, *, least_wait_ms: int = 0) -> Mapping[str, Any]:
        """Return the values of an answer.

        Raises:
            WorldError: no answer, or DEVICE_EXCEPTION when the device says no.
        """
        reply = await self.ask(request, least_wait_ms=least_wait_ms)
        if isinstance(reply, Refusal):
            raise WorldError(Reason.DEVICE_EXCEPTION, f"the device says: {reply.text}")
        return reply

    async def burst(self, burst: Burst) -> Ended:
        """Send pieces of an image; how far they came.

        Raises:
            WorldError: the answer to one of them did not come.
        """
        return await self._bus.exchange(burst.frame, burst, urgency=Urgency.COMMAND)

    # --- commands --------------------------------------------------------------------------------
    async def echo(self, text: str) -> str:
        """Return what the device gives back."""
        answer = await self.told(Request(WRITE, OS, 0, {"d": text}))
        return str(answer.get("r", ""))

    async def reset(self) -> None:
        """Reset the device; that no answer comes proves nothing."""
        try:
            await self.told(Request(WRITE, OS, 5, {}))
        except WorldError as error:
            if error.reason is Reason.DEVICE_EXCEPTION:
                raise

    async def buffers(self) -> tuple[int, int]:
        """Return the size and the number of its request buffers; a careful guess if it is mute."""
        if self._buffers is None:
            reply = await self.ask(Request(READ, OS, 6, {}))
            told = {} if isinstance(reply, Refusal) else reply
            size, count = told.get("buf_size"), told.get("buf_count")
            least = limits.SMP_BUFFER_LEAST_BYTES
            sound = isinstance(size, int) and isinstance(count, int) and size >= least
            self._buffers = (int(size or 0), int(count or 0)) if sound else _UNKNOWN
        return self._buffers

    async def info(self, letter: str) -> str:
        """Return one of the texts of `uname`, empty where the device has none."""
        reply = await self.ask(Request(READ, OS, 7, {"format": letter}))
        output = "" if isinstance(reply, Refusal) else reply.get("output")
        return output if isinstance(output, str) else ""

    async def slots(self) -> tuple[SlotImage, ...]:
        """Return the images in its slots.

        Raises:
            WorldError: no answer, or one that is none.
        """
        return _slots(await self.told(Request(READ, IMAGE_GROUP, 0, {})))

    async def mark(self, digest: bytes, *, confirm: bool) -> None:
        """Let the next reset try an image, or keep one; without a name it is what runs.

        Raises:
            WorldError: no answer, or the device says no.
        """
        values = {**({"hash": digest} if digest else {}), "confirm": confirm}
        await self.told(Request(WRITE, IMAGE_GROUP, 0, values), least_wait_ms=limits.SMP_PIECE_MS)

    async def statistics(self, group: str, urgency: Urgency) -> Mapping[str, Any] | Refusal:
        """Return the fields of a statistics group.

        Raises:
            WorldError: no answer.
        """
        reply = await self.ask(Request(READ, STAT, 0, {"name": group}), urgency=urgency)
        if isinstance(reply, Refusal):
            return reply
        fields = reply.get("fields")
        return fields if isinstance(fields, dict) else Refusal(NOT_SUPPORTED)

    async def file(
        self, name: str, urgency: Urgency, *, checked: bool
    ) -> Mapping[str, Any] | Refusal:
        """Return a file's ``size``, and its ``crc32`` where it is to be checked.

        Raises:
            WorldError: no answer.
        """
        # The hash of a file tells its length too; for the length alone nothing is read.
        values = {"name": name, "type": "crc32"} if checked else {"name": name}
        reply = await self.ask(
            Request(READ, FILES, 2 if checked else 1, values),
            urgency=urgency,
            least_wait_ms=limits.SMP_HASH_MS if checked else 0,
        )
        if isinstance(reply, Refusal):
            return reply
        return {"size": reply.get("len"), "crc32": reply.get("output")}

    async def setting(self, name: str, urgency: Urgency) -> bytes | Refusal:
        """Return a setting's bytes.

        Raises:
            WorldError: no answer.
        """
        reply = await self.ask(Request(READ, SETTINGS, 0, {"name": name}), urgency=urgency)
        if isinstance(reply, Refusal):
            return reply
        value = reply.get("val")
        return value if isinstance(value, bytes) else Refusal(NOT_SUPPORTED)

    async def set_setting(self, name: str, value: bytes) -> None:
        """Give a setting another value; kept through a reset only if the device keeps it.

        Raises:
            WorldError: no answer, or the device says no.
        """
        await self.told(Request(WRITE, SETTINGS, 0, {"name": name, "val": value}))


_UNKNOWN = (limits.SMP_BUFFER_BYTES, 1)


def _slots(answer: Mapping[str, Any]) -> tuple[SlotImage, ...]:
    rows = answer.get("images")
    if not isinstance(rows, list):
        raise WorldError(Reason.DEVICE_EXCEPTION, "the device lists no images")
    return tuple(_slot(row) for row in rows if isinstance(row, dict))


def _slot(row: Mapping[str, Any]) -> SlotImage:
    image, slot = row.get("image", 0), row.get("slot")
    version, digest = row.get("version"), row.get("hash", b"")
    if not (isinstance(image, int) and isinstance(slot, int)):
        raise WorldError(Reason.DEVICE_EXCEPTION, "the device lists an image without its place")
    return SlotImage(
        image=image,
        slot=slot,
        version=version[: limits.VERSION_CHARS] if isinstance(version, str) else "",
        digest=digest if isinstance(digest, bytes) else b"",
        active=row.get("active") is True,
        confirmed=row.get("confirmed") is True,
        pending=row.get("pending") is True,
    )
