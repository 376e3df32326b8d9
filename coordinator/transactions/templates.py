"""Templates as the fleet keeps them: every version stays, a deleted one stays readable by number.

What came with the program is version 0 of its name and can be hidden by a version of the fleet's
own, never changed. Leaves out filling in (`coordinator.contract.template_values`).
"""

from typing import Any

import msgspec

from coordinator.contract.common import to_time
from coordinator.contract.shipped import shipped_templates
from coordinator.contract.template_values import check_template
from coordinator.contract.templates import TemplateBody, TemplateView
from coordinator.core.audit import split_actor
from coordinator.core.ports import Row, Tx, execute, fetch, fetch_one
from coordinator.transactions.rows import audit, to_json
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError

SHIPPED = 0
"""The version of what came with the program."""


def view_template(name: str, version: int | None = None) -> Tx[TemplateView | None]:
    """Return a version of a template, or the newest; None when there is none."""
    if version == SHIPPED:
        return _shipped(name)
    if version is not None:
        row = yield from fetch_one("template_version", name, version)
        return _view(row) if row is not None and row[2] else None
    row = yield from fetch_one("template_newest", name)
    return _view(row) if row is not None and row[2] else _shipped(name)


def list_templates(*, after: str, size: int) -> Tx[tuple[list[TemplateView], bool]]:
    """Return up to `size` templates after a name, newest versions, and if there are more."""
    rows = yield from fetch("templates_newest")
    own = {row[0]: _view(row) for row in rows if row[2]}
    shipped = {name: _of_program(body) for name, body in shipped_templates().items()}
    found = {**shipped, **own}
    names = [name for name in sorted(found) if name > after]
    return [found[name] for name in names[:size]], len(names) > size


def save_template(template: TemplateBody, *, actor: str, now_ms: WallMs) -> Tx[TemplateView]:
    """Keep a template as the next version of its name.

    Raises:
        MistakeError: it cannot be used, or there are too many.
    """
    check_template(template)
    document = to_json(template)
    if len(document.encode()) > limits.SPEC_BYTES:
        raise MistakeError(f"a template has at most {limits.SPEC_BYTES} bytes")
    counted = yield from fetch_one("templates_counted")
    assert counted is not None, "an aggregate always answers"
    newest = yield from fetch_one("template_newest", template.name)
    if newest is None and counted[0] >= limits.TEMPLATES:
        raise MistakeError(f"there are {limits.TEMPLATES} templates already", where="name")
    version = yield from _add(template.name, newest, document, actor=actor, now_ms=now_ms)
    yield from audit(
        now_ms,
        actor=actor,
        action="template.save",
        object_=f"template:{template.name}",
        detail={"version": version},
    )
    row = yield from fetch_one("template_version", template.name, version)
    assert row is not None, "it was just inserted"
    return _view(row)


def delete_template(name: str, *, actor: str, now_ms: WallMs) -> Tx[TemplateView | None]:
    """Let a template be found no more by its name; what came with the program shows again.

    Returns what it was; None: the fleet has none of this name.
    """
    newest = yield from fetch_one("template_newest", name)
    if newest is None or not newest[2]:
        return None
    version = yield from _add(name, newest, "", actor=actor, now_ms=now_ms)
    yield from audit(
        now_ms,
        actor=actor,
        action="template.delete",
        object_=f"template:{name}",
        detail={"version": version},
    )
    return _view(newest)


def _add(name: str, newest: Row | None, document: str, *, actor: str, now_ms: WallMs) -> Tx[int]:
    version = 1 if newest is None else newest[1] + 1
    who = split_actor(actor)[0]
    yield from execute("template_insert", name, version, document, now_ms, who)
    return version


def _shipped(name: str) -> TemplateView | None:
    body = shipped_templates().get(name)
    return None if body is None else _of_program(body)


def _of_program(body: TemplateBody) -> TemplateView:
    return TemplateView(**_members(body), version=SHIPPED, saved_at=None, saved_by="")


def _view(row: Row) -> TemplateView:
    _, version, document, saved_ms, saved_by = row
    body = msgspec.json.decode(document, type=TemplateBody)
    return TemplateView(
        **_members(body),
        version=version,
        saved_at=to_time(saved_ms),
        saved_by=saved_by,
    )


def _members(body: TemplateBody) -> dict[str, Any]:
    return {name: getattr(body, name) for name in TemplateBody.__struct_fields__}
