"""One HTTP device: points in, readings out, over a bus that only sees frames.

Owns proving who asks, refusing redirects, and turning faults into readings without values. Leaves
out the port (`agent.buses.http`), bytes (`codec`, `auth`, `document`) and arithmetic
(`agent.drivers.plain`).
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from agent.buses.http import http_place, read_secret
from agent.core.ports import Bus, Identity, PointReading, Urgency
from agent.drivers import plain
from agent.drivers.http_json import auth
from agent.drivers.http_json.auth import Challenge
from agent.drivers.http_json.codec import HttpAnswer, HttpDecoder, encode
from agent.drivers.http_json.document import (
    complaint,
    count_at,
    in_path,
    read_document,
    text_at,
    written,
)
from agent.drivers.http_json.plan import address, plan
from shared.errors import MistakeError, Reason, RefusedError, WorldError
from shared.ids import DeviceId
from shared.model.http_address import VALUE, HttpRequest
from shared.model.job import Value
from shared.model.point import Point
from shared.model.profile import Profile

_NO_USE_GOING_ON: Final = {Reason.DEVICE_SILENT, Reason.BUS_DOWN}
"""Faults that the next request to the same device would only meet again, a timeout later."""
_UNAUTHORIZED: Final = 401
_IDENTITY: Final = "identity"
"""The request that a profile may have for what the device says of itself."""
_VENDOR: Final = ("vendor", "manufacturer", "maker", "brand")
_MODEL: Final = ("model", "app", "product", "type")
_FIRMWARE: Final = ("ver", "version", "fw", "firmware", "fw_id")
_MORE: Final = ("id", "mac", "name", "gen", "serial", "hw")
"""Members that makers commonly use."""


class HttpJsonDriver:
    """A device that answers requests with JSON, as its profile says."""

    def __init__(self, device: DeviceId, bus: Bus, *, unit: int, profile: Profile) -> None:
        """Bind a device to its bus.

        Raises:
            MistakeError: such a bus carries no HTTP, or its secret cannot be read.
        """
        self.device = device
        self.profile = profile
        if not bus.settings.url.startswith("http:"):
            raise MistakeError("HTTP is spoken over http:// only", where=f"device {device}")
        self._bus = bus
        self._place = http_place(bus.settings)
        self._secret = read_secret(self._place, bus=bus.settings.name)
        self._points = {point.name: point for point in profile.points}
        self._challenge: Challenge | None = None
        self._uses = 0
        self._proven = False
        """The device accepted the secret, and said no to nothing since."""

    async def read(self, points: Sequence[str], *, urgency: Urgency) -> list[PointReading]:
        """Return a reading for each point, in order; see `agent.core.ports.Driver`."""
        found: dict[str, PointReading] = {}
        wanted = {name: self._points[name] for name in points if name in self._points}
        fault: Reason | None = None
        for request, group in plan(wanted.values()).items():
            if fault in _NO_USE_GOING_ON:
                found |= plain.failed(group, fault)
                continue
            try:
                document = await self._told(request, request.path, request.body, urgency)
                found |= {point.name: _reading(document, point) for point in group}
                fault = None
            except WorldError as error:
                fault = error.reason
                found |= plain.failed(group, fault)
        unknown = Reason.POINT_UNKNOWN
        return [found.get(name) or plain.unread(name, unknown) for name in points]

    def expected(self, values: Mapping[str, Value]) -> dict[str, int | float]:
        """Return what a read gives once a write took; see `agent.core.ports.Driver`."""
        return plain.expected(self.profile, self.device, values)

    async def write(self, values: Mapping[str, Value]) -> None:
        """Write points, one request each, in the order given; see `agent.core.ports.Driver`."""
        done: list[str] = []
        for point, raw in plain.raws(self.profile, self.device, values):
            at = address(point)
            assert at.write is not None, "only writable points have raw counts to write"
            path = at.write.path.replace(VALUE, in_path(at, raw))
            body = at.write.body.replace(VALUE, written(at, raw))
            try:
                await self._told(at.write, path, body, Urgency.COMMAND, writes=True)
            except WorldError as error:
                before = f" (written before: {', '.join(done)})" if done else ""
                raise WorldError(error.reason, f"{point.name}: {error.detail}{before}") from error
            done.append(point.name)

    async def identify(self) -> Identity | None:
        """Return what the answer to the profile's request ``identity`` says, if it has one."""
        request = self.profile.sections.get(_IDENTITY)
        if request is None:
            return None
        assert isinstance(request, HttpRequest), "the sections of such a profile are requests"
        document = await self._told(request, request.path, request.body, Urgency.COMMAND)
        return Identity(
            vendor=_first(document, _VENDOR),
            model=_first(document, _MODEL),
            firmware=_first(document, _FIRMWARE),
            more={key: text for key in _MORE if (text := text_at(document, key))},
        )

    # --- one request -----------------------------------------------------------------------------
    async def _told(
        self,
        request: HttpRequest,
        path: str,
        body: str,
        urgency: Urgency,
        *,
        writes: bool = False,
    ) -> Any:  # noqa: ANN401 - JSON is anything
        """Return the document that answers a request.

        Raises:
            WorldError: no answer, no JSON, or DEVICE_EXCEPTION when the device refuses.
        """
        repeatable = request.method == "GET" and not writes
        answer = await self._exchange(request.method, path, body, urgency, repeatable=repeatable)
        if answer.status == _UNAUTHORIZED and self._take_challenge(answer):
            answer = await self._exchange(
                request.method, path, body, urgency, repeatable=repeatable
            )
        self._proven = answer.status != _UNAUTHORIZED
        if answer.status >= 300:
            raise WorldError(Reason.DEVICE_EXCEPTION, self._refusal(answer))
        if writes and not request.error:
            return None
        try:
            document = read_document(answer.body)
        except RefusedError as error:
            raise WorldError(error.reason, error.detail) from None
        if text := complaint(document, request):
            raise WorldError(Reason.DEVICE_EXCEPTION, f"the device says: {text}")
        return document

    async def _exchange(
        self, method: str, path: str, body: str, urgency: Urgency, *, repeatable: bool
    ) -> HttpAnswer:
        target = f"{self._place.base}{path}"
        data = encode(
            method,
            target,
            authority=self._place.authority,
            body=body,
            authorization=self._authorization(method, target),
        )
        decoder = HttpDecoder(repeatable=repeatable)
        return await self._bus.exchange(data, decoder, urgency=urgency)

    def _authorization(self, method: str, target: str) -> str:
        match self._place.auth:
            case "basic":
                return auth.basic(self._secret)
            case "bearer":
                return f"Bearer {self._secret}"
            case "digest" if self._challenge is not None:
                self._uses += 1
                return auth.digest(
                    self._challenge,
                    self._secret,
                    method=method,
                    target=target,
                    count=self._uses,
                    client_nonce=secrets.token_hex(8),
                )
            case _:
                return ""

    def _take_challenge(self, answer: HttpAnswer) -> bool:
        """Note what the device wants proven; tell whether asking again may help."""
        if self._place.auth != "digest":
            return False
        before = self._challenge
        self._challenge = auth.challenge_of(answer.texts("www-authenticate"))
        self._uses = 0
        # Nonces grow old. A no to a fresh one is about the password: asking on would lock it out.
        aged = self._proven or (self._challenge is not None and self._challenge.stale)
        return self._challenge is not None and (before is None or aged)

    def _refusal(self, answer: HttpAnswer) -> str:
        if answer.status < 400:
            return f"the device sends elsewhere ({answer.status}); redirects are not followed"
        if answer.status == _UNAUTHORIZED:
            if self._place.auth == "none":
                return "the device wants to know who asks (401): give the port auth= and secret="
            return f"the device does not accept the secret by {self._place.auth} (401)"
        try:
            text = text_at(read_document(answer.body), "message")
        except RefusedError:
            text = ""
        return f"the device answers {answer.status}{': ' if text else ''}{text}"


def _reading(document: object, point: Point) -> PointReading:
    there, raw = count_at(document, address(point))
    return plain.reading(point, raw) if there else plain.unread(point.name, Reason.POINT_UNKNOWN)


def _first(document: object, keys: Sequence[str]) -> str:
    return next((text for key in keys if (text := text_at(document, key))), "")
