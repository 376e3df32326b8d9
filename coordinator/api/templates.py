"""``/v1/templates``: jobs with blanks, and jobs made from them."""

from functools import partial

from coordinator.api.context import Call
from coordinator.api.handing_in import hand_in
from coordinator.api.jobs import SubmitHeaders
from coordinator.api.paging import page_token, read_page_token
from coordinator.api.problems import Kind, ProblemError
from coordinator.api.router import Answer
from coordinator.contract.common import Page
from coordinator.contract.jobs import JobPreview, JobView, SubmitQuery
from coordinator.contract.template_values import fill
from coordinator.contract.templates import (
    TemplateBody,
    TemplateQuery,
    TemplatesQuery,
    TemplateUse,
    TemplateView,
)
from coordinator.transactions.templates import (
    delete_template,
    list_templates,
    save_template,
    view_template,
)


async def get_templates(call: Call, query: TemplatesQuery) -> Page[TemplateView]:
    """List templates by name, those that came with the program among them."""
    secret = call.parts.fleet.page_key
    after = read_page_token(query.page_token, scope="templates", secret=secret).decode()
    body = partial(list_templates, after=after, size=query.page_size)
    views, more = await call.parts.store.read(body)
    last = views[-1].name.encode() if more else b""
    return Page(views, page_token(last, scope="templates", secret=secret) if more else None)


async def get_template(call: Call, template: str, query: TemplateQuery) -> TemplateView:
    """Return a template, its newest version or a named one."""
    return await find_template(call, template, query.version)


async def create_template(call: Call, body: TemplateBody) -> Answer[TemplateView]:
    """Keep a template; of a name that is known this becomes the next version."""
    parts = call.parts
    act = partial(save_template, body, actor=call.actor, now_ms=parts.clock.wall_ms())
    return Answer(await parts.store.run(act, durable=True), 201)


async def remove_template(call: Call, template: str) -> TemplateView:
    """Delete a template and return what it was; what came with the program shows again."""
    parts = call.parts
    act = partial(delete_template, template, actor=call.actor, now_ms=parts.clock.wall_ms())
    gone = await parts.store.run(act, durable=True)
    if gone is None:
        found = await find_template(call, template, None)
        raise ProblemError(Kind.CONFLICT, f"{found.name} came with the program; it stays")
    return gone


async def submit_template(
    call: Call, template: str, query: SubmitQuery, headers: SubmitHeaders, body: TemplateUse
) -> Answer[JobView] | Answer[JobPreview]:
    """Submit a job made from a template, as ``POST /v1/jobs`` does."""
    found = await find_template(call, template, body.version)
    return await hand_in(
        call,
        fill(found, body),
        validate_only=query.validate_only,
        key=headers.idempotency_key,
        origin=f"template:{found.name}@{found.version}",
    )


async def find_template(call: Call, name: str, version: int | None) -> TemplateView:
    """Return a template.

    Raises:
        ProblemError: there is none of this name and version.
    """
    view = await call.parts.store.read(partial(view_template, name, version))
    if view is None:
        which = "" if version is None else f" of version {version}"
        raise ProblemError(Kind.NOT_FOUND, f"no template {name!r}{which}", at="path.template")
    return view
