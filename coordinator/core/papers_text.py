"""What papers would change, as people read it before they sign, and root documents as text.

Pure. Whoever signs must be able to compare every key and every bound: nothing is summed up.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence

from coordinator.core.catalog_text import render_catalog
from coordinator.core.document_text import time_text
from coordinator.core.papers import Document, Paper, Papers, quorums, title_of
from coordinator.core.policy_text import render_policy
from shared.ids import KeyId, fingerprint, key_id
from shared.trust.catalog import Catalog
from shared.trust.root import Root


def describe(papers: Papers, *, known: Callable[[Paper, Paper], bool]) -> Iterator[str]:
    """Yield the lines that tell what the drafts change.

    Args:
        papers: what is told.
        known: tells whether a document is really the one before a draft. Otherwise all of the
            draft is told as new: papers that bring a false one along would hide what changes.

    Raises:
        MistakeError: a document is damaged.
    """
    held = {paper.kind: paper for paper in papers.before}
    shown: set[Paper] = set()
    for paper in papers.drafts:
        document, before = paper.read(), held.get(paper.kind)
        sure = before is None or before in shown or known(before, paper)
        until = f"{time_text(document.issued_ms)} to {time_text(document.expires_ms)}"
        yield f"{title_of(paper.kind, document)} ({_follows(before, sure=sure)}), {until}"
        was = [] if before is None else body_text(before.read()).splitlines()
        for line in _changes(was, body_text(document).splitlines(), sure=sure):
            yield f"  {line}"
        held[paper.kind] = paper
        shown.add(paper)


def missing(papers: Papers) -> Sequence[str]:
    """Return whose signatures the drafts lack, one sentence each; empty when they are complete."""
    return [
        f"{quorum.title}: {quorum.missing} more of the {quorum.whose} must sign: "
        + ", ".join(sorted(key.hex() for key in quorum.keys - quorum.signed))
        for quorum in quorums(papers)
        if quorum.missing
    ]


def body_text(document: Document) -> str:
    """Return what a document says, without its numbers."""
    if isinstance(document, Root):
        return "\n".join(_root_lines(document)) + "\n"
    if isinstance(document, Catalog):
        return render_catalog(document)
    return render_policy(document)


def root_view(root: Root) -> Mapping[str, object]:
    """Return a root document for JSON."""
    publics = {key_id(key): key for key in root.keys}
    return {
        "version": root.version,
        "epoch": root.epoch,
        "fleet": root.fleet.hex(),
        "issued_at": time_text(root.issued_ms),
        "expires_at": time_text(root.expires_ms),
        "roles": {
            name: {
                "threshold": role.threshold,
                "keys": [_key_view(KeyId(key), publics) for key in role.keys],
            }
            for name, role in sorted(root.roles.items())
        },
    }


def paper_titles(papers: Sequence[Paper]) -> list[str]:
    """Return how people call some documents."""
    return [title_of(paper.kind, paper.read()) for paper in papers]


def _follows(before: Paper | None, *, sure: bool) -> str:
    if before is None:
        return "the first one"
    said = f"after {title_of(before.kind, before.read())}"
    return said if sure else f"{said}, which nothing proves here: read all of it"


def _changes(was: list[str], now: list[str], *, sure: bool) -> Iterator[str]:
    told = difflib.unified_diff(was, now, n=1, lineterm="")
    changes = [line for line in told if not line.startswith(("---", "+++", "@@"))]
    if sure:
        yield from changes
    else:
        yield from (line for line in changes if line.startswith("-"))
        yield from (f"+{line}" for line in now)


def _key_view(key: KeyId, publics: Mapping[KeyId, bytes]) -> Mapping[str, str]:
    public = publics[key]
    return {"id": key.hex(), "public": public.hex(), "fingerprint": fingerprint(public)}


def _root_lines(root: Root) -> Iterator[str]:
    publics = {key_id(key): key for key in root.keys}
    yield f"fleet {root.fleet.hex()}"
    for name, role in sorted(root.roles.items()):
        yield f"{name}: {role.threshold} of {len(role.keys)}"
        for key in role.keys:
            yield f"  {key.hex()}  {fingerprint(publics[KeyId(key)])}"
    if root.carrier:
        yield f"sticks are sealed to {root.carrier.hex()}"
