"""A signed value in words that leave nothing out: what an approver reads before he signs.

It is made from the very bytes that are signed, field by field, so that a field which was added
later is shown as well. Text is quoted with escapes: nothing in it can move the cursor, hide behind
another direction of writing, or pretend to be a field, also where a line is too long for a screen.
"""

import json
from collections.abc import Iterator

import msgspec

_STEP = "  "


def spell(value: msgspec.Struct, indent: str = "") -> Iterator[str]:
    """Yield one line for each field that does not have its default value.

    >>> from shared.model.job import Step
    >>> list(spell(Step("look", "device.read", {"points": ["a"]})))
    ['id: "look"', 'action: "device.read"', 'params:', '  "points": ["a"]']
    """
    for field in msgspec.structs.fields(value):
        member = getattr(value, field.name)
        if member == field.default:
            continue
        if field.default_factory is not msgspec.NODEFAULT and member == field.default_factory():
            continue
        yield from _named(field.name, member, indent)


def folded(line: str, width: int) -> Iterator[str]:
    """Yield a line in parts that fit a screen; what goes on is marked, so it looks like no field.

    >>> list(folded('  text: "say dry_run: true"', 16))
    ['  text: "say dry', '    | _run: true', '    | "']
    """
    yield line[:width]
    indent = " " * min(len(line) - len(line.lstrip()), width // 2)
    mark = f"{indent}{_STEP}| "
    step = max(1, width - len(mark))
    for start in range(width, len(line), step):
        yield mark + line[start : start + step]


def _named(name: str, member: object, indent: str) -> Iterator[str]:
    match member:
        case msgspec.Struct():
            yield f"{indent}{name}:"
            yield from spell(member, indent + _STEP)
        case dict():
            yield f"{indent}{name}:"
            for key, inner in member.items():
                yield from _named(_text(key), inner, indent + _STEP)
        case list() if any(isinstance(inner, msgspec.Struct | dict) for inner in member):
            for number, inner in enumerate(member):
                yield from _named(f"{name}[{number}]", inner, indent)
        case _:
            yield f"{indent}{name}: {_text(member)}"


def _text(value: object) -> str:
    plain = msgspec.to_builtins(value, builtin_types=(bytes,))
    return json.dumps(plain.hex() if isinstance(plain, bytes) else plain)
