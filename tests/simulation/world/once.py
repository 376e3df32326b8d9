"""What the programs of a world would each find out for themselves alike: found out once.

Every function here makes a value that nobody changes of bytes or text alone, so whoever asks again
gets what it would have found. Leaves out what depends on a clock, a file or chance.
"""

import contextlib
from collections.abc import Iterator
from functools import cache, lru_cache
from unittest import mock

from agent import config_devices
from agent.store import contact
from shared.model.profile import Profile, parse_profile
from shared.runtime import migrations
from shared.sync.outgoing import thaw
from shared.trust import envelope

_FEW = 64
"""What one program asks is soon asked by the next, or never again."""

_MADE = cache(migrations.made_by)
_VERIFIES = lru_cache(_FEW)(envelope._verifies)
_THAW = lru_cache(_FEW)(thaw)


@lru_cache(_FEW)
def _profile(text: str) -> Profile:
    return parse_profile(text, source="a profile of this world")


def _parse_profile(text: str, *, source: str) -> Profile:
    assert source, "complaints name it"
    return _profile(text)


@contextlib.contextmanager
def found_once() -> Iterator[None]:
    """Let the programs that run inside share it."""
    with (
        mock.patch.object(migrations, "made_by", _MADE),
        mock.patch.object(envelope, "_verifies", _VERIFIES),
        mock.patch.object(contact, "thaw", _THAW),
        mock.patch.object(config_devices, "parse_profile", _parse_profile),
    ):
        yield
