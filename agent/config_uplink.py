"""The `[uplink]` section of the configuration: the link, its bytes and its hours, bounded once.

Owns the section's keys and the sentence for whatever a person got wrong in it. What the values mean
stands in `agent.core`; the file and its other sections in `agent.config`.
"""

from datetime import UTC, tzinfo

from agent.config_devices import milliseconds
from agent.core.budget import BudgetSettings
from agent.core.settings import METERED_SYNC_INTERVAL_MS, UplinkSettings, WindowSettings
from shared import limits
from shared.errors import MistakeError
from shared.model.selector import is_label
from shared.model.toml_text import TomlTable

UPLINK_KEYS = (
    *("sync_interval_s", "long_poll", "metered", "time_zone", "connection_window", "discover"),
    *("data_budget_day_kb", "data_budget_month_kb", "endpoint"),
)
_WINDOW_KEYS = ("cron", "minutes")
_KILOBYTE = 1000
"""Operators count in decimal units."""
_WINDOW_MINUTES = 1_439
"""A minute less than a day: what is longer is no window."""


def uplink_of(table: TomlTable) -> UplinkSettings:
    """Return the settings of an `[uplink]` section.

    Raises:
        MistakeError: points at the line.
    """
    default = UplinkSettings()
    metered = table.flag("metered", default=default.metered)
    settings = UplinkSettings(
        sync_interval_ms=milliseconds(
            table,
            "sync_interval_s",
            limits.SYNC_MIN_MS,
            limits.SYNC_MAX_MS,
            METERED_SYNC_INTERVAL_MS if metered else default.sync_interval_ms,
        ),
        long_poll=table.flag("long_poll", default=default.long_poll),
        metered=metered,
        discover=table.flag("discover", default=default.discover),
        budget=_budget(table),
        window=_window(table),
        time_zone=_time_zone(table),
        endpoint=_endpoint(table),
    )
    if settings.long_poll and settings.metered:
        raise table.mistake(
            "a metered link has no long_poll: holding a contact open costs bytes all day",
            key="long_poll",
            mend="switch one of the two off",
        )
    return settings


def zone_of(name: str) -> tzinfo:
    """Return the zone of a name that `uplink_of` has checked."""
    if name == "UTC":
        return UTC
    # Zones and their files are for sites that name one.
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    return ZoneInfo(name)


def _budget(table: TomlTable) -> BudgetSettings:
    day, month = (
        table.integer(key, 0, limits.DATA_BUDGET_KB, 0)
        for key in ("data_budget_day_kb", "data_budget_month_kb")
    )
    least = limits.DATA_BUDGET_MIN_KB
    for key, value, most in (
        ("data_budget_day_kb", day, least),
        ("data_budget_month_kb", month, 31 * least),
    ):
        if 0 < value < most:
            raise table.mistake(
                f"{key} = {value} leaves no room for a day's signs of life and alarms",
                key=key,
                mend=f"allow {most} or more, or 0 for no limit",
            )
    return BudgetSettings(day_bytes=day * _KILOBYTE, month_bytes=month * _KILOBYTE)


def _window(table: TomlTable) -> WindowSettings | None:
    if "connection_window" not in table.values:
        return None
    window = table.table("connection_window", _WINDOW_KEYS)
    cron = window.string("cron")
    # A fifth of a megabyte that a link without hours need not carry.
    from agent.core.windows import check_cron  # noqa: PLC0415

    try:
        check_cron(cron)
    except MistakeError as error:
        raise window.mistake(error.what, key="cron", mend=error.mend) from None
    return WindowSettings(cron=cron, minutes=window.integer("minutes", 1, _WINDOW_MINUTES))


def zone_label(name: str) -> dict[str, str]:
    """Return the label by which the coordinator knows when schedules of the site are due.

    >>> zone_label("Europe/Madrid"), zone_label("UTC")
    ({'time_zone': 'Europe.Madrid'}, {})
    """
    value = name.replace("/", ".")
    return {"time_zone": value} if name != "UTC" and is_label("time_zone", value) else {}


def _endpoint(table: TomlTable) -> str:
    text = table.string("endpoint", "")
    if not text:
        return ""
    # Whoever stays where it was enrolled need not read addresses.
    from agent.services.endpoint import parse_url  # noqa: PLC0415

    try:
        parse_url(text, where="endpoint")
    except MistakeError as error:
        raise table.mistake(error.what, key="endpoint", mend=error.mend) from None
    return text


def _time_zone(table: TomlTable) -> str:
    name = table.string("time_zone", "UTC")
    try:
        zone_of(name)
    except (LookupError, ValueError, OSError):
        raise table.mistake(
            f"there is no time zone {name[:60]!r}",
            key="time_zone",
            mend="write for example Europe/Madrid",
        ) from None
    return name
