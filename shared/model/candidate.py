"""A device that stands somewhere and is not attached: what an agent tells of it in a receipt.

Owns the fields and their order. Finding such devices is `agent.services.lookout`'s, showing them
`coordinator.transactions.candidates`'.
"""

from typing import Final, Literal

import msgspec

from shared import limits
from shared.model.job import Value

Way = Literal["modbus", "smp", "mdns"]
WAYS: Final[tuple[Way, ...]] = ("modbus", "smp", "mdns")
"""How a device can be found."""
Change = Literal["new", "same", "changed", "moved", "lost", "returned", "claims"]
"""``claims``: it says that it is an attached device, and something speaks against it."""
MARK: Final = "_candidate."
"""Result members of `agent.discover`: each candidate is told under this and a number."""
ADOPTED: Final = "._adopted"
"""End of the result member of `agent.adopt` that says which place is a candidate no more."""
LET_GO: Final = "._let_go"
"""End of the result member of `agent.adopt` that says which device is attached no more."""
BY_BUS: Final[frozenset[Way]] = frozenset({"modbus", "smp"})
"""Ways whose places are ``BUS/ADDRESS``; the others' are ``HOST:PORT``."""


Spot = tuple[Way, str]
"""A way and a place."""


class Sighting(msgspec.Struct, frozen=True, array_like=True):
    """What answered at one place; texts are shortened, empty where nothing is known."""

    way: Way
    place: str
    """``BUS/ADDRESS``, or ``HOST:PORT`` where it announced itself."""
    vendor: str = ""
    model: str = ""
    firmware: str = ""
    serial: str = ""
    """What tells it from others of its kind."""
    name: str = ""
    """Of an announcement: instance and service."""

    @property
    def spot(self) -> Spot:
        """Return where it is, or was last."""
        return (self.way, self.place)


class CandidateWord(Sighting, frozen=True, array_like=True):
    """One candidate as it travels, in JSON."""

    change: Change = "new"
    """Since it was last told; ``lost``: it was asked and did not answer any more."""
    before: str = ""
    """Where it was before it moved."""
    device: str = ""
    """The attached device that it is (``moved``) or says it is (``claims``)."""


def read_words(result: dict[str, Value]) -> list[CandidateWord]:
    """Return the candidates that a receipt tells of; what cannot be read is left out."""
    found: list[CandidateWord] = []
    for name, value in result.items():
        member = name.partition(".")[2]
        if not member.startswith(MARK) or not isinstance(value, str):
            continue
        try:
            word = msgspec.json.decode(value, type=CandidateWord)
        except msgspec.MsgspecError:
            continue
        texts = (getattr(word, field) for field in word.__struct_fields__)
        if word.place and all(len(text) <= limits.IDENTITY_CHARS for text in texts):
            found.append(word)
    return found[: limits.CANDIDATES_TOLD]
