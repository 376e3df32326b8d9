"""The fleet admin's view in the demo: a small client of the REST API."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp

from shared.errors import Reason, WorldError
from shared.model.job import TERMINAL_EXECUTION

T = TypeVar("T")

_PATIENCE_S = 60
"""How long any one thing may take to come true before the demo gives up on it."""
_LOOK_S = 0.25
"""How often the demo looks; a person's eye, not a protocol's timing."""


class Admin:
    """Talks REST to the coordinator with the admin's token."""

    def __init__(self, url: str, token: str, tls: ssl.SSLContext) -> None:
        """Take where the coordinator listens and how to be let in."""
        self._url, self._token, self._tls = url, token, tls
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the connection pool."""
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._token}"},
            connector=aiohttp.TCPConnector(ssl=self._tls),
            timeout=aiohttp.ClientTimeout(total=_PATIENCE_S),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, **query: str | int) -> Any:  # noqa: ANN401
        """Return what a GET answers, as plain JSON values."""
        return await self._call("GET", path, params=query)

    async def submit(self, job: dict[str, object], *, key: str | None = None) -> str:
        """Submit a job and return its id; with one `key`, any number of times is once."""
        headers = {} if key is None else {"Idempotency-Key": key}
        body = await self._call("POST", "/v1/jobs", json=job, headers=headers)
        return str(body["id"])

    async def agents(self) -> dict[str, Any]:
        """Return every agent by the site it was enrolled for."""
        page = await self.get("/v1/agents")
        return {agent["site"]: agent for agent in page["items"]}

    async def executions(self, job: str) -> list[Any]:
        """Return a job's executions."""
        page = await self.get("/v1/executions", job=job)
        items: list[Any] = page["items"]
        return items

    async def finished(self, job: str) -> list[Any]:
        """Wait until every execution of a job is terminal and return them."""
        terminal = {state.name for state in TERMINAL_EXECUTION}

        async def done() -> list[Any] | None:
            found = await self.executions(job)
            return found if all(execution["state"] in terminal for execution in found) else None

        return await until(f"job {job} to finish", done)

    async def _call(self, method: str, path: str, **more: Any) -> Any:  # noqa: ANN401
        assert self._session is not None, "used outside its `async with`"
        async with self._session.request(method, self._url + path, **more) as response:
            if response.status >= HTTPStatus.BAD_REQUEST:
                said = (await response.text())[:300]
                raise WorldError(Reason.STEP_FAILED, f"{method} {path}: {response.status} {said}")
            return await response.json()


async def until(
    what: str,
    check: Callable[[], Awaitable[T | None]],
    patience_s: float = _PATIENCE_S,
    *,
    look_s: float = _LOOK_S,
) -> T:
    """Call `check` every `look_s` until it returns something, and return that.

    Raises:
        WorldError: it did not come true in time.
    """
    try:
        async with asyncio.timeout(patience_s):
            # The demo is an onlooker: nothing it waits for could wake it up.
            while (found := await check()) is None:  # noqa: ASYNC110
                await asyncio.sleep(look_s)
            return found
    except TimeoutError:
        raise WorldError(Reason.TIMED_OUT, f"waited {patience_s:.0f} s for {what}") from None
