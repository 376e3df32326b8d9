"""The `[discovery]` section of the local configuration: how far jobs may look for devices.

Owns its keys and bounds. Looking is `agent.services.lookout`'s.
"""

from agent.core.settings import DiscoverySettings
from shared import limits
from shared.model.toml_text import TomlTable

DISCOVERY_KEYS = ("allow", "follow", "aside", "probes_per_hour", "services", "interfaces")


def discovery_of(table: TomlTable) -> DiscoverySettings:
    """Return what the section says.

    Raises:
        MistakeError: points at the line.
    """
    default = DiscoverySettings()
    return DiscoverySettings(
        allowed=table.flag("allow", default=default.allowed),
        follow=table.flag("follow", default=default.follow),
        aside=texts_of(table, "aside", "pump-17"),
        probes_per_hour=table.integer(
            "probes_per_hour", 0, limits.DISCOVERY_PROBES_MOST, default.probes_per_hour
        ),
        services=texts_of(table, "services", "_http._tcp"),
        interfaces=texts_of(table, "interfaces", "192.168.1.10"),
    )


def texts_of(table: TomlTable, key: str, example: str) -> tuple[str, ...]:
    """Return a bounded list of texts; none where the key is not there."""
    value = table.values.get(key, [])
    texts = value if isinstance(value, list) else [None]
    fitting = all(isinstance(one, str) and 0 < len(one) <= limits.IDENTITY_CHARS for one in texts)
    if not fitting or len(texts) > limits.MDNS_SERVICES:
        raise table.mistake(
            f"{key} is a list of at most {limits.MDNS_SERVICES} texts",
            key=key,
            mend=f'write {key} = ["{example}"]',
        )
    return tuple(texts)
