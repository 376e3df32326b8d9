"""Everybody whom a story may be about, and what stories have to know of each other."""

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.simulation.world.centre import Centre
from tests.simulation.world.files import rows
from tests.simulation.world.ground import Ground
from tests.simulation.world.life import Lives
from tests.simulation.world.people import People
from tests.simulation.world.site import Site

_AGAIN_S = 60


@dataclass
class Scene:
    """Everybody whom a story may be about."""

    ground: Ground
    centre: Centre
    sites: list[Site]
    people: People
    guests: list[Site] = field(default_factory=list)
    """Who is not here to stay, and whoever passes himself off as one of them."""
    backup: Path | None = None
    restored: bool = False
    upset_s: dict[str, float] = field(default_factory=dict)
    """When a site's stores, or the coordinator's, were last put back, damaged or lost, by name."""
    rekeyed: list[Site] = field(default_factory=list)
    """Whose key was changed since the backup."""

    @property
    def lives(self) -> list[Lives]:
        return [self.centre, *self.sites, *self.sites]

    @property
    def unlucky(self) -> Site:
        """The one whose stores are lost or put back: the others are judged by all they promise."""
        return self.sites[-1]

    def upset(self, *sites: Site) -> None:
        """Write down that what the programs know of each other was just changed under them."""
        self.upset_s |= dict.fromkeys((site.name for site in sites), self.ground.now_s)

    async def look(self, sql: str, *values: Any) -> Sequence[tuple[Any, ...]]:
        """Return what the coordinator's file says, once there is one to read."""
        while True:
            try:
                return rows(self.centre.place.database, sql, *values)
            except sqlite3.Error:  # it is being put back
                await asyncio.sleep(_AGAIN_S)


Story = Callable[[Scene, random.Random], Awaitable[None]]
