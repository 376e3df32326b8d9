"""The documents a fleet begins with on one machine, and what is weak about any set of them.

Owns the defaults of `outstation-coordinator init` and the sentences that it and every start say
aloud. A fleet that keeps its release key elsewhere writes its own catalog and policy.
"""

from typing import Final

from shared import limits
from shared.trust.catalog import (
    ActionBounds,
    Bound,
    Catalog,
    ConfigBounds,
    FlagBound,
    NamesBound,
    NumberBound,
    TextBound,
)
from shared.trust.policy import ClassRule, Policy
from shared.trust.root import RELEASE, ROOT, Root

OBSERVE: Final = "observe"
"""Jobs that read."""
OPERATE: Final = "operate"
"""Jobs that also write, within each device's own profile."""

_GRACE_S: Final = 5_184_000
"""60 days: longer than a winter without a visit, shorter than forgetting that the site exists."""


def first_catalog(*, fleet: bytes, issued_ms: int, expires_ms: int) -> Catalog:
    """Return a catalog that allows every action there is, to any device."""
    return Catalog(
        version=1,
        fleet=fleet,
        epoch=1,
        issued_ms=issued_ms,
        expires_ms=expires_ms,
        any_profile=True,
        actions=_actions(),
        profiles=[],
        config=ConfigBounds([], dict(_SETTINGS)),
        scripts=[],
        firmware=[],
        agents=[],
    )


def _actions() -> dict[str, ActionBounds]:
    """Return what may be asked for: devices' own profiles bound what is written to them."""
    names, name = NamesBound(limits.POINTS), TextBound(_NAME_CHARS)
    asked: dict[str, dict[str, Bound]] = {
        "device.read": {"points": names},
        "device.command": {"call": name, "value": NumberBound(-_ANY, _ANY)},
        "device.read_config": {"points": names, "save_as": name},
        "device.restore_config": {"from": name, "saved": name},
        "device.sync": {},
        "device.update_firmware": {
            "artifact": TextBound(_ARTIFACT_CHARS),
            "size": NumberBound(1, limits.FIRMWARE_BYTES),
            "version": TextBound(limits.VERSION_CHARS),
            "image": NumberBound(0, limits.FIRMWARE_IMAGES),
            "allow_downgrade": FlagBound(),
        },
        "device.put_file": {
            "artifact": TextBound(_ARTIFACT_CHARS),
            "size": NumberBound(1, limits.FILE_PUT_BYTES),
            "path": TextBound(limits.FILE_PATH_CHARS),
        },
        "device.get_file": {
            "path": TextBound(limits.FILE_PATH_CHARS),
            "upload": TextBound(_NAME_CHARS),
        },
        "agent.health": {},
        "agent.diagnose": {"upload": TextBound(_NAME_CHARS)},
        "agent.restart": {},
        "agent.configure": {"confirm_within_s": NumberBound(1, limits.TRIAL_S)},
        "agent.fetch": {
            "artifact": TextBound(_ARTIFACT_CHARS),
            "size": NumberBound(1, limits.ARTIFACT_BYTES),
        },
        "agent.adopt": {
            **dict.fromkeys(("device", "bus", "serial"), name),
            "address": NumberBound(0, 255),
            "artifact": TextBound(_ARTIFACT_CHARS),
            "size": NumberBound(1, limits.PROFILE_BYTES),
            "poll_interval_s": NumberBound(1, limits.POLL_MAX_MS // 1000),
            "confirm_within_s": NumberBound(1, limits.TRIAL_S),
            "remove": FlagBound(),
        },
        "agent.discover": {
            **dict.fromkeys(("buses", "ways", "services"), NamesBound(limits.BUSES)),
            **dict.fromkeys(("first", "last"), NumberBound(1, 247)),
            "for_s": NumberBound(1, limits.DISCOVERY_S),
            "follow": FlagBound(),
        },
        "agent.cleanup": {
            **dict.fromkeys(("keep", "max_bytes", "older_than_s"), NumberBound(0, _ANY)),
            "damaged": FlagBound(),
        },
    }
    bounds = {action: ActionBounds(each, by_profile=False) for action, each in asked.items()}
    valued = {"device.write": {}, "device.configure": {}, "device.validate": {"saved": name}}
    return bounds | {a: ActionBounds(dict(each), by_profile=True) for a, each in valued.items()}


def first_policy(*, fleet: bytes, issued_ms: int, expires_ms: int) -> Policy:
    """Return a policy that tells reading from writing and asks nobody's approval."""
    reads: dict[str, list[str]] = {name: [] for name in sorted(_HARMLESS)}
    writes: dict[str, list[str]] = {name: [] for name in _OPERATING}
    return Policy(
        version=1,
        fleet=fleet,
        epoch=1,
        issued_ms=issued_ms,
        expires_ms=expires_ms,
        approvers=[],
        classes={
            OBSERVE: ClassRule(0, [], _GRACE_S, reads),
            OPERATE: ClassRule(0, [], _GRACE_S, reads | writes),
        },
    )


def weaknesses(root: Root, catalog: Catalog, policy: Policy) -> tuple[str, ...]:
    """Return what a thief would find easy, one sentence each; to be said at each start."""
    found = [
        f"one stolen key speaks for the {role} role: no second one has to agree"
        for role in (ROOT, RELEASE)
        if root.roles[role].threshold == 1
    ]
    if catalog.any_profile:
        found.append(
            "any device may be written within the limits of the profile on its own gateway: "
            "the catalog sets no bounds"
        )
    unguarded = sorted(
        name
        for name, rule in policy.classes.items()
        if rule.threshold == 0 and rule.actions.keys() - _HARMLESS
    )
    if unguarded:
        found.append(f"nobody has to approve jobs of class {', '.join(unguarded)}")
    return tuple(found)


_HARMLESS: Final = frozenset(
    {
        *("device.read", "device.read_config", "device.sync", "device.validate"),
        *("agent.health", "agent.diagnose"),
    }
)
_SETTINGS: Final[dict[str, Bound]] = {
    "telemetry.commit_interval_s": NumberBound(1, 3_600),
    "uplink.sync_interval_s": NumberBound(1, 86_400),
}
"""What cannot cut an agent off, nor wear out its disk."""
_OPERATING: Final = (
    "agent.adopt",
    "agent.configure",
    "agent.cleanup",
    "agent.discover",
    "agent.fetch",
    "agent.restart",
    "device.command",
    "device.configure",
    "device.get_file",
    "device.put_file",
    "device.restore_config",
    "device.update_firmware",
    "device.write",
)
_NAME_CHARS: Final = 40
_ARTIFACT_CHARS: Final = 71
"""``sha256:`` and 64 hex digits."""
_ANY: Final = 10**15
"""No number that a device holds is beyond it."""
