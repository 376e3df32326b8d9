"""What agents tell of themselves and of their devices when a job asks."""

import msgspec

from coordinator.contract.common import PageSize, PageToken, SelectorText, Time
from shared.model.job import Value


class BundleView(msgspec.Struct, frozen=True):
    """One support bundle of ``GET /v1/agents/{agent}/bundles``, the newest first."""

    id: str
    """Hex of the sha256 of its text, as the receipt of the step that made it says."""
    name: str
    bytes: int
    received_at: Time
    """When its first piece came."""
    complete: bool
    """All of it is here and can be had."""


class DeviceQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/devices``."""

    agent: str = ""
    selector: SelectorText = ""
    """Of agents whose labels match."""
    device_selector: SelectorText = ""
    """Over id, kind, profile, vendor, model and firmware, as far as a device said them."""
    drifted: bool = False
    """Only those that are not as their profile expects."""
    silent: bool = False
    """Only those that do not answer."""
    page_size: PageSize = 100
    page_token: PageToken = ""


class DeviceView(msgspec.Struct, frozen=True):
    """What a device is and said of itself when ``device.sync`` last asked, and how it is since.

    One that never answered is listed too, while it is silent.
    """

    agent: str
    device: str
    observed_at: Time | None
    """By the agent's clock; null: it never said anything."""
    vendor: str
    model: str
    firmware: str
    profile: str
    kind: str
    drift: list[str]
    """What is not as the profile expects: vendor, model, firmware."""
    facts: dict[str, Value]
    """Everything it told, by the names of `docs/actions.md`."""
    silent_since: Time | None = None
    """When it last answered its gateway; null: it does, or its gateway names longer silences."""
    firmware_permille: int | None = None
    """How much it has of an image that is on its way into it."""
    told_at: Time | None = None
    """When its gateway said so."""
