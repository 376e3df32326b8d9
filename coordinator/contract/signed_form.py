"""The signed form of a job: its canonical bytes, which everybody can read again.

Packing takes more than reading does: a job that is kept, signed and then read by nobody would
stand in the way of every other one. Owns the sentence for what only the wire refuses. Leaves out
what makes a job a mistake otherwise (`shared.model.spec_check`).
"""

import math
from collections.abc import Iterator

import msgspec

from shared import limits
from shared.errors import MistakeError, RefusedError
from shared.model.job import JobSpec
from shared.wire.codec import pack, unpack

_NAMES = {"final_steps": "finally"}
"""Members that people write under another name."""


def signed_form(spec: JobSpec) -> bytes:
    """Return what is signed and what agents receive.

    Raises:
        MistakeError: nobody could read it again; names the member at fault where one alone is.
    """
    for where, what in _faults(spec, ""):
        raise MistakeError(what, where=where)
    packed = pack(spec)
    if len(packed) > limits.SPEC_BYTES:
        raise MistakeError(f"the job has {len(packed)} bytes, at most {limits.SPEC_BYTES}")
    try:
        unpack(packed, JobSpec, bound=limits.SPEC_BYTES)
    except RefusedError as error:
        raise MistakeError(f"no agent could read the job: {error.detail or error}") from None
    return packed


def _faults(value: object, where: str) -> Iterator[tuple[str, str]]:
    """Yield each place that the wire has no room for, and why."""
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            inside = _NAMES.get(name, name)
            yield from _faults(getattr(value, name), f"{where}.{inside}" if where else inside)
    elif isinstance(value, dict):
        if len(value) > limits.ITEMS_PER_MAP:
            yield where, f"it has {len(value)} members, at most {limits.ITEMS_PER_MAP}"
        for key, one in value.items():
            yield from _faults(key, where)
            yield from _faults(one, f"{where}.{key}")
    elif isinstance(value, list):
        if len(value) > limits.ITEMS_PER_ARRAY:
            yield where, f"it has {len(value)} entries, at most {limits.ITEMS_PER_ARRAY}"
        for number, one in enumerate(value):
            yield from _faults(one, f"{where}[{number}]")
    elif what := _fault(value):
        yield where, what


def _fault(value: object) -> str:
    """Return what the wire cannot say of a single value, empty where it can."""
    if isinstance(value, str):
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            return "it is no text: half of a character stands alone"
        return f"it has {size} bytes, at most {limits.TEXT_BYTES}" * (size > limits.TEXT_BYTES)
    if isinstance(value, int) and not -limits.INT_MAX <= value <= limits.INT_MAX:
        return f"an integer has at most 53 bits: -{limits.INT_MAX} to {limits.INT_MAX}"
    if isinstance(value, float):
        if not math.isfinite(value):
            return "a number has to be finite"
        if value == 0 and math.copysign(1, value) < 0:
            return "write 0 instead of -0"
    return ""
