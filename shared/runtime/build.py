"""When this program was built: no earlier than this can it be now."""

from pathlib import Path

from shared.clock import WallMs

STAMP = Path(__file__).with_name("built_s")
"""Written into a wheel by setup.py; a checkout has none."""


def built_ms(stamp: Path = STAMP) -> WallMs:
    """Return when the wheel was built, 0 for a checkout, which does not know."""
    try:
        return WallMs(int(stamp.read_text()) * 1000)
    except FileNotFoundError:
        return WallMs(0)
