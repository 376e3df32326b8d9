"""What a receipt says of devices and agents beside what is wished of them. Pure.

A wish is what a profile expects of the device itself (`identity`), the image of an update
(`firmware`), what a step of a job compares (`JOB/STEP`), or what an agent was configured to
(`settings`). Leaves out what was known before and keeping it (`coordinator.transactions.drift`).
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec

from shared.model.job import Step, TaskState, Value
from shared.model.mcuboot import parse_version
from shared.wire.messages import Receipt

IDENTITY: Final = "identity"
FIRMWARE: Final = "firmware"
"""Of a device's first processor; of another one its number follows after a slash."""
SETTINGS: Final = "settings"
OWN: Final = "@agent"
"""The agent itself, where a device is named."""
WRITES: Final = frozenset(
    {
        *("device.write", "device.configure", "device.restore_config", "device.command"),
        *("device.update_firmware", "agent.adopt"),
    }
)
"""Actions that may make a device as it is wished to be."""
CONFIGURES: Final = frozenset({"agent.configure"})
"""Actions that may make an agent so."""
_HASH_CHARS = 16
_RULE = "_rule."
_COMPARING = frozenset({"_drifted", "_before", "_settings"})
Members = Mapping[str, Value]
"""Of a step's result, without the step's name."""


@dataclass(frozen=True, slots=True)
class Word:
    """What a receipt says of one wish."""

    device: str
    wish: str
    desired: str
    """Empty: what it was before; there is no word where nothing was."""
    missed: Members
    """What is otherwise, as it is; empty: all is as wished."""

    def against(self, desired: str) -> "Word | None":
        """Return the word once it is known what is desired; None: nothing was said of that."""
        if self.desired:
            return self
        ((name, told),) = self.missed.items()
        wanted, is_so = (desired, told) if name == SETTINGS else _versions(desired, told)
        if not wanted or not is_so:
            return None
        return Word(self.device, self.wish, desired, {} if wanted == is_so else self.missed)


def compared(receipt: Receipt) -> dict[str, dict[str, Value]]:
    """Return the results of those steps that compared something, by their names."""
    own = receipt.device == OWN
    if receipt.state not in {TaskState.DONE, TaskState.FAILED} or not receipt.device:
        return {}
    if receipt.device.startswith("@") and not own:
        return {}
    by_step: dict[str, dict[str, Value]] = defaultdict(dict)
    for name, value in receipt.result.items():
        step, _, member = name.partition(".")
        by_step[step][member] = value
    return {
        step: members
        for step, members in by_step.items()
        if members.keys() & _COMPARING and "_dry_run" not in members
    }


def words_of(job: str, step: Step, device: str, members: Members) -> list[Word]:
    """Return what a step of a job says by its result."""
    match step.action:
        case "device.sync" if members.get("_identity") is True:
            return _what_it_is(device, members)
        case "device.validate" if "_drifted" in members:
            return [Word(device, f"{job}/{step.id}", _hash_of(step), _differing(members))]
        case "device.update_firmware" if "_before" in members:
            return [_updated(device, step, members)]
        case "agent.configure" if "_wanted" in members:
            missed = {name: members[name] for name in step.params if name in members}
            return [Word(OWN, SETTINGS, str(members["_wanted"]), missed)]
        case "agent.configure":
            return [Word(OWN, SETTINGS, str(members["_settings"]), {})]
        case "agent.health":
            return [Word(OWN, SETTINGS, "", {SETTINGS: members["_settings"]})]
        case _:
            return []


def _what_it_is(device: str, members: Members) -> list[Word]:
    names = [name for name in str(members.get("_drift", "")).split(",") if name]
    missed = {name: members.get(f"_{name}", "") for name in names}
    profile = str(members.get("_profile_hash", ""))
    words = [Word(device, IDENTITY, profile, missed)] if profile else []
    if runs := members.get("_firmware"):
        words.append(Word(device, FIRMWARE, "", {FIRMWARE: runs}))
    return words


def _updated(device: str, step: Step, members: Members) -> Word:
    runs, asked = str(members.get("_version", "")), step.params
    desired = str(asked.get("version") or "") or runs or _hash_of(step)
    wish = f"{FIRMWARE}/{asked['image']}" if asked.get("image") else FIRMWARE
    return Word(device, wish, desired, {} if runs else {FIRMWARE: members["_before"]})


def _versions(desired: str, told: Value) -> tuple[object, object]:
    """Return two versions; None for a text that is none: it is like nothing, and unlike nothing."""
    return parse_version(desired), parse_version(str(told))


def _differing(members: Members) -> dict[str, Value]:
    """Return points that are not as desired, with what they are, and rules that do not hold."""
    points = {
        name.removesuffix(".desired"): members.get(name.removesuffix(".desired"), "")
        for name in members
        if name.endswith(".desired")
    }
    broken = {
        f"rule {name.removeprefix(_RULE)}": False
        for name, value in members.items()
        if name.startswith(_RULE) and value is False
    }
    return {**points, **broken}


def _hash_of(step: Step) -> str:
    """Return a short name of what a step wishes: the same for equal parameters of any job."""
    text = msgspec.json.encode(step.params, order="deterministic")
    return sha256(text).hexdigest()[:_HASH_CHARS]
