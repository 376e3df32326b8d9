"""The `[sharing]` section of the local configuration: files for the other gateways of the site.

Owns its keys. It follows `[discovery]`: who may not look around on the LAN shares nothing there
unless a person says so. Sharing is `agent.services.sharing`'s.
"""

from agent.config_discovery import texts_of
from agent.core.settings import DiscoverySettings, SharingSettings
from shared.model.toml_text import TomlTable

SHARING_KEYS = ("allow", "interfaces")


def sharing_of(table: TomlTable, discovery: DiscoverySettings) -> SharingSettings:
    """Return what the section says.

    Raises:
        MistakeError: points at the line.
    """
    return SharingSettings(
        allowed=table.flag("allow", default=discovery.allowed),
        interfaces=texts_of(table, "interfaces", "192.168.1.10") or discovery.interfaces,
    )
