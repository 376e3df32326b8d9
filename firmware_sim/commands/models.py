"""`outstation-sim models`: the register maps, for people and for programs."""

import json
from collections.abc import Sequence

from firmware_sim.model import Model, Point
from firmware_sim.models import find_model, shipped_models


def models_text(names: Sequence[str]) -> str:
    """Return the register maps as tables."""
    blocks = []
    for model in _chosen(names):
        gaps = "gaps read as 0" if model.allow_gaps else "gaps are exception 2"
        head = f"{model.name}: {model.about}\n  {gaps}; 32-bit values: {model.word_order} end first"
        rows: list[tuple[str, ...]] = [
            ("table", "address", "type", "scale", "unit", "access", "point", "")
        ]
        rows += [_row(point) for point in model.points]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
        lines = (
            "  " + "  ".join([*map(str.ljust, row[:-1], widths), row[-1]]).rstrip() for row in rows
        )
        blocks.append("\n".join([head, *lines]))
    blocks.append(
        "Addresses are PDU addresses from 0: holding register 100\n"
        "is 40101 in many manuals, and -r 101 of mbpoll."
    )
    return "\n\n".join(blocks)


def _row(point: Point) -> tuple[str, ...]:
    limits_text = f"write {point.low:g} to {point.high:g}" if point.writable else "read"
    last = point.end - 1
    address = str(point.address) if last == point.address else f"{point.address}-{last}"
    scale = f"x10^{point.scale}" if point.scale else ""
    kind, table = point.kind.value, point.table.value
    return (table, address, kind, scale, point.unit, limits_text, point.name, point.about)


def models_json(names: Sequence[str]) -> str:
    """Return the register maps as one JSON array."""
    return json.dumps([_model_json(model) for model in _chosen(names)], indent=2)


def _model_json(model: Model) -> dict[str, object]:
    return {
        "name": model.name,
        "about": model.about,
        "vendor": model.vendor,
        "product": model.product,
        "revision": model.revision,
        "allow_gaps": model.allow_gaps,
        "word_order": model.word_order.value,
        "points": [_point_json(point) for point in model.points],
    }


def _point_json(point: Point) -> dict[str, object]:
    found: dict[str, object] = {
        "name": point.name,
        "table": point.table.value,
        "address": point.address,
        "registers": point.kind.registers,
        "type": point.kind.value,
        "scale": point.scale,
        "unit": point.unit,
        "about": point.about,
        "writable": point.writable,
        "poll_count": point.is_poll_count,
    }
    if point.writable:
        found |= {"min": point.low, "max": point.high, "default": point.default}
    return found


def _chosen(names: Sequence[str]) -> Sequence[Model]:
    return [find_model(name) for name in names] if names else shipped_models()
