"""Somebody who talks HTTP to a coordinator, and what was answered."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from shared.sync.body import CONTENT_TYPE


@dataclass(frozen=True)
class Answered:
    """What a server said."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body of a REST answer or of a problem."""
        return json.loads(self.body)

    @property
    def problem(self) -> str:
        """The name of a problem."""
        assert self.headers["Content-Type"].startswith("application/problem+json"), self
        assert self.json["status"] == self.status
        return str(self.json["type"]).removeprefix("urn:outstation:problem:")


@dataclass
class Client:
    """Somebody who talks to one coordinator."""

    url: str
    session: aiohttp.ClientSession
    token: str

    async def request(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        data: Any = None,
        body: object = None,
    ) -> Answered:
        sent = dict(headers or {})
        bearer = self.token if token is None else token
        if bearer:
            sent["Authorization"] = f"Bearer {bearer}"
        if body is not None:
            data = msgspec.json.encode(body)
            sent.setdefault("Content-Type", "application/json")
        async with self.session.request(
            method, self.url + path, headers=sent, data=data
        ) as response:
            return Answered(response.status, response.headers.copy(), await response.read())

    async def get(self, path: str, **options: Any) -> Answered:
        return await self.request("GET", path, **options)

    async def post(self, path: str, body: object, **options: Any) -> Answered:
        return await self.request("POST", path, body=body, **options)

    async def send(self, path: str, data: Any, *, content_type: str = CONTENT_TYPE) -> Answered:
        """Send bytes without a token, as a gateway does."""
        headers = {"Content-Type": content_type}
        return await self.request("POST", path, token="", headers=headers, data=data)

    async def sync(self, body: bytes, *, wait: int = 0) -> Answered:
        return await self.send(f"/v1/sync?wait={wait}" if wait else "/v1/sync", body)

    async def read(self, path: str) -> Any:
        """Get something that must be there."""
        answered = await self.get(path)
        assert answered.status == 200, answered
        return answered.json
