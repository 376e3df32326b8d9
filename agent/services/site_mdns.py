"""How gateways of one site find each other: announced on the LAN (mDNS RFC 6762, DNS-SD RFC 6763).

An announcement proves nothing and tells nothing: a mark that only whoever knows fleet and site can
make. Whoever lies about it is asked, knows no file, and is left alone. Loads zeroconf on first use.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from agent.services.lan import Network, nearest
from agent.services.neighbourhood import Household, Place
from shared import limits
from shared.errors import Reason, WorldError
from shared.trust.shared_file import site_mark

SERVICE: Final = "_outstation-site._tcp.local."
_RESOLVE_MS: Final = 3_000
_MARK: Final = b"site"


class SiteMdns:
    """`agent.services.sharing.Beacon` over zeroconf."""

    def __init__(self, household: Household) -> None:
        """Announce what `household` is, to whoever knows it already."""
        self._household = household
        self._networks: Sequence[Network] = ()
        self._mark = site_mark(household.fleet, household.site)
        self._zeroconf: Any = None
        self._browser: Any = None
        self._found: dict[str, Place] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def places(self) -> Sequence[Place]:
        """Return where the others are."""
        return list(dict.fromkeys(self._found.values()))

    async def light(
        self, networks: Sequence[Network], port: int, found: Callable[[], None]
    ) -> None:
        """Announce and listen; see `Beacon`."""
        from zeroconf import Error  # noqa: PLC0415 - only who shares pays for it
        from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf  # noqa: PLC0415

        self._networks, handler = networks, partial(self._heard, found)
        zeroconf = self._zeroconf = AsyncZeroconf(interfaces=[str(one.ip) for one in networks])
        self._browser = AsyncServiceBrowser(zeroconf.zeroconf, [SERVICE], handlers=[handler])
        try:
            await zeroconf.async_register_service(self._info(port))
        except Error as error:
            detail = f"this gateway cannot be announced ({str(error) or type(error).__name__})"
            raise WorldError(Reason.STEP_FAILED, detail) from error

    async def douse(self) -> None:
        """Say goodbye and stop listening."""
        zeroconf, self._zeroconf = self._zeroconf, None
        browser, self._browser = self._browser, None
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._found.clear()
        if browser is not None:
            await browser.async_cancel()
        if zeroconf is not None:
            await zeroconf.async_unregister_all_services()
            await zeroconf.async_close()

    def _info(self, port: int) -> Any:  # noqa: ANN401 - loaded on first use
        from zeroconf.asyncio import AsyncServiceInfo  # noqa: PLC0415

        return AsyncServiceInfo(
            SERVICE,
            f"{self._household.id}.{SERVICE}",
            port=port,
            parsed_addresses=[str(one.ip) for one in self._networks],
            properties={_MARK: self._mark.encode()},
            server=f"outstation-{self._household.id}.local.",
        )

    def _heard(self, found: Callable[[], None], **change: Any) -> None:  # noqa: ANN401 - by name
        from zeroconf import ServiceStateChange  # noqa: PLC0415

        name = change["name"]
        if change["state_change"] is ServiceStateChange.Removed:
            self._found.pop(name, None)
            return
        if name.startswith(f"{self._household.id}.") or self._zeroconf is None:
            return
        if len(self._tasks) >= limits.SHARE_NEIGHBOURS:
            return
        task = asyncio.create_task(self._resolve(name, found))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _resolve(self, name: str, found: Callable[[], None]) -> None:
        from zeroconf import Error  # noqa: PLC0415
        from zeroconf.asyncio import AsyncServiceInfo  # noqa: PLC0415

        info = AsyncServiceInfo(SERVICE, name)
        try:
            if not await info.async_request(self._zeroconf.zeroconf, _RESOLVE_MS):
                return
        except Error:
            return  # it is being doused
        full = len(self._found) >= limits.SHARE_NEIGHBOURS and name not in self._found
        if info.properties.get(_MARK) != self._mark.encode() or not info.port or full:
            return
        # Whoever announces an address on the internet would have us spend the link's bytes there.
        address = nearest(info.parsed_addresses(), self._networks)
        if address is not None:
            self._found[name] = Place(address, info.port)
            found()
