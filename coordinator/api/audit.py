"""``/v1/audit``: who changed what, when, and from where."""

from functools import partial

from coordinator.api.context import Call
from coordinator.api.paging import page_token, read_page_token
from coordinator.contract.audit import AuditEntry, AuditQuery
from coordinator.contract.common import Page
from coordinator.transactions.audit import list_audit
from shared import limits


async def get_audit(call: Call, query: AuditQuery) -> Page[AuditEntry]:
    """List the audit log, newest first; `verify-audit` of the coordinator follows its hashes."""
    secret = call.parts.fleet.page_key
    scope = f"audit {query.action} {query.object}"
    after = read_page_token(query.page_token, scope=scope, secret=secret)
    body = partial(
        list_audit,
        before=int.from_bytes(after) if after else limits.INT_MAX,
        action=query.action,
        object_=query.object,
        size=query.page_size,
    )
    entries, more = await call.parts.store.read(body)
    last = entries[-1].number.to_bytes(8) if more else b""
    return Page(entries, page_token(last, scope=scope, secret=secret) if more else None)
