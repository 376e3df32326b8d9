"""Signed documents on their way: drafts to be signed where the offline keys are, and brought home.

One form for the whole way: a draft is an envelope that lacks signatures. Beside the drafts lie the
documents that are in force, so that whoever signs sees what would change. Owns the form, what is
still missing, and what the drafts must be to follow what is in force. Leaves out how drafts come
about (`coordinator.core.drafts`) and what is done with good ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import msgspec

from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError, Reason, RefusedError
from shared.ids import KeyId, key_id
from shared.trust.catalog import CATALOG_TYP, Catalog, open_catalog
from shared.trust.envelope import open_signed, peek_payload
from shared.trust.policy import POLICY_TYP, Policy, open_policy
from shared.trust.root import RELEASE, ROOT, ROOT_TYP, Root, open_root
from shared.wire.codec import unpack

Kind: TypeAlias = Literal["root", "catalog", "policy"]
Document: TypeAlias = Root | Catalog | Policy

TYPS: Final[dict[Kind, str]] = {"root": ROOT_TYP, "catalog": CATALOG_TYP, "policy": POLICY_TYP}
_TYPES: Final[dict[Kind, type[Document]]] = {"root": Root, "catalog": Catalog, "policy": Policy}
_FORM: Final = 1
PAPERS_BYTES: Final = 8 * limits.DOCUMENT_BYTES
"""Two roots, two catalogs and two policies in base64."""
_DRAFTS: Final = 8


class Paper(msgspec.Struct, frozen=True):
    """One document's envelope."""

    kind: Kind
    envelope: bytes

    def read(self) -> Document:
        """Return what it says, whoever signed it.

        Raises:
            MistakeError: it says nothing.
        """
        bound = limits.DOCUMENT_BYTES
        try:
            return unpack(peek_payload(self.envelope, bound=bound), _TYPES[self.kind], bound=bound)
        except RefusedError as error:
            raise MistakeError(f"its {self.kind} is damaged ({error})") from None


class Papers(msgspec.Struct, frozen=True, kw_only=True):
    """What is carried."""

    outstation_papers: int = _FORM
    before: list[Paper]
    """In force: the newest root, catalog and policy. Empty while a fleet is being founded."""
    drafts: list[Paper]
    """To be signed and adopted, in the order in which they count: the root, then the rest."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """Documents whose signatures were verified."""

    root: Root
    catalog: Catalog
    policy: Policy
    papers: tuple[Paper, Paper, Paper]
    """Their envelopes, in that order."""


@dataclass(frozen=True, slots=True)
class Quorum:
    """Who has to sign a draft, and who has."""

    paper: Paper
    title: str
    whose: str
    """Whose signatures: ``root keys of version 1``."""
    keys: frozenset[KeyId]
    signed: frozenset[KeyId]
    threshold: int

    @property
    def missing(self) -> int:
        """Return how many more of them must sign."""
        return max(0, self.threshold - len(self.signed))


def encode_papers(papers: Papers) -> bytes:
    """Return the file's bytes: JSON, which survives any stick and any mail program."""
    return msgspec.json.format(msgspec.json.encode(papers), indent=2) + b"\n"


def decode_papers(data: bytes, *, where: str) -> Papers:
    """Return the papers in a file.

    Raises:
        MistakeError: it is something else.
    """
    if len(data) > PAPERS_BYTES:
        raise MistakeError(f"is longer than {PAPERS_BYTES} bytes", where=where)
    try:
        papers = msgspec.json.decode(data, type=Papers)
    except msgspec.DecodeError as error:
        raise MistakeError(
            f"holds no papers of a fleet ({error})",
            where=where,
            mend="name the file that init --ceremony, publish, rotate or revoke wrote",
        ) from None
    if papers.outstation_papers != _FORM:
        raise MistakeError(
            f"has papers of form {papers.outstation_papers}, this program knows {_FORM}",
            where=where,
            mend="use the same version of outstation-coordinator in both places",
        )
    if not 1 <= len(papers.drafts) <= _DRAFTS or len(papers.before) not in {0, len(TYPS)}:
        raise MistakeError("has too few or too many documents", where=where)
    return papers


def title_of(kind: Kind, document: Document) -> str:
    """Return how people call a document."""
    return f"{kind} {document.version} of epoch {document.epoch}"


def open_before(papers: Papers) -> Trusted | None:
    """Return what the papers say is in force, None for a fleet that is being founded.

    It proves only that the keys in it signed it: whoever adopts has the real one, and whoever
    signs finds the own key in it.

    Raises:
        MistakeError: it contradicts itself.
    """
    if not papers.before:
        return None
    held = {paper.kind: paper for paper in papers.before}
    try:
        root = open_root(held["root"].envelope, trusted=None)
        return _together(root, held)
    except (KeyError, RefusedError) as error:
        raise MistakeError(f"what it says is in force contradicts itself ({error})") from None


def signed_before(public_key: bytes | None, before: Paper, draft: Paper) -> bool:
    """Tell whether a key signed what a draft says it follows, and the draft is the very next one.

    Papers bring what is in force along, and prove nothing by it. What the own key signed was read
    by its owner; an older state than the one before would hide what changed in between.
    """
    old, new = before.read(), draft.read()
    if (old.fleet, old.version + 1) != (new.fleet, new.version):
        return False
    if public_key is None or (not isinstance(new, Root) and old.epoch != new.epoch):
        return False
    key = key_id(public_key)
    try:
        _, signed = open_signed(
            before.envelope,
            typ=TYPS[before.kind],
            keys={key: public_key},
            bound=limits.DOCUMENT_BYTES,
        )
    except RefusedError:
        return False
    return key in signed


def quorums(papers: Papers) -> Iterator[Quorum]:
    """Yield whose signatures each draft needs, and which of them it has.

    Raises:
        MistakeError: a draft is damaged, or there is no root to judge by.
    """
    roots = [one for paper in papers.before if isinstance(one := paper.read(), Root)]
    root = roots[-1] if roots else None
    for paper in papers.drafts:
        document = paper.read()
        role = RELEASE
        if isinstance(document, Root):
            role = ROOT
            if root is not None:
                yield _quorum(paper, document, root, ROOT)
            root = document
        if root is None:
            raise MistakeError("there is no root document to judge by")
        yield _quorum(paper, document, root, role)


def judge(
    before: Trusted | None, drafts: Sequence[Paper], *, now_ms: WallMs, where: str
) -> Trusted:
    """Return what is in force once the drafts are adopted.

    Args:
        before: in force now; None while a fleet is being founded.
        drafts: what was brought.
        now_ms: nothing that is over is adopted.
        where: names the drafts in complaints.

    Raises:
        MistakeError: one of them may not follow; it says which and why.
    """
    held = {} if before is None else {paper.kind: paper for paper in before.papers}
    root = None if before is None else before.root
    for paper in drafts:
        document = paper.read()
        root = _follow(paper, document, root, before, where)
        if document.expires_ms <= now_ms:
            raise MistakeError(f"{title_of(paper.kind, document)} is over already", where=where)
        held[paper.kind] = paper
    if root is None or held.keys() != TYPS.keys():
        raise MistakeError("does not found a fleet: root, catalog and policy do", where=where)
    try:
        return _together(root, held)
    except RefusedError as error:
        raise MistakeError(
            f"would leave the fleet without a catalog or a policy that counts ({error})",
            where=where,
            mend="make the papers anew with rotate or revoke, which bring both along",
        ) from None


def _follow(
    paper: Paper, document: Document, root: Root | None, before: Trusted | None, where: str
) -> Root:
    """Return the root after a draft, which may be one."""
    title = title_of(paper.kind, document)
    try:
        if isinstance(document, Root):
            if root is None and (document.version, document.epoch) != (1, 1):
                raise MistakeError(f"{title} is no beginning: version 1 of epoch 1 is", where=where)
            return open_root(paper.envelope, trusted=root)
        if root is None:
            raise MistakeError(f"{title} comes without a root document", where=where)
        _open_content(paper, root)
        _check_newer(document, before, where)
    except RefusedError as error:
        raise _complaint(title, error, root, where) from None
    return root


def _check_newer(document: Catalog | Policy, before: Trusted | None, where: str) -> None:
    if before is None:
        return
    kind: Kind = "catalog" if isinstance(document, Catalog) else "policy"
    held = before.catalog if kind == "catalog" else before.policy
    if document == held:
        raise MistakeError(f"{title_of(kind, document)} is in force already", where=where)
    if document.epoch == held.epoch and document.version <= held.version:
        raise MistakeError(
            f"{title_of(kind, document)} is not newer than version {held.version} in force",
            where=where,
            mend="publish it again: a number is used once",
        )


def _complaint(title: str, error: RefusedError, root: Root | None, where: str) -> MistakeError:
    match error.reason:
        case Reason.THRESHOLD_NOT_MET:
            return MistakeError(
                f"{title} has too few signatures ({error.detail})",
                where=where,
                mend="outstation-coordinator office show FILE says whose are missing",
            )
        case Reason.WRONG_FLEET:
            return MistakeError(f"{title} belongs to another fleet", where=where)
        case Reason.WRONG_ROOT_VERSION | Reason.WRONG_EPOCH:
            now = "" if root is None else f", in force is {title_of('root', root)}"
            return MistakeError(
                f"{title} does not follow{now}",
                where=where,
                mend="it was adopted already, or another one was: make the papers anew",
            )
    return MistakeError(f"{title} is refused ({error})", where=where)


def _together(root: Root, held: Mapping[Kind, Paper]) -> Trusted:
    """Return three documents of which the root vouches for the other two."""
    catalog, policy = _open_content(held["catalog"], root), _open_content(held["policy"], root)
    assert isinstance(catalog, Catalog), "as its kind says"
    assert isinstance(policy, Policy), "as its kind says"
    return Trusted(root, catalog, policy, (held["root"], held["catalog"], held["policy"]))


def _open_content(paper: Paper, root: Root) -> Catalog | Policy:
    opened = open_catalog if paper.kind == "catalog" else open_policy
    document: Catalog | Policy = opened(paper.envelope, root)
    if document.fleet != root.fleet:
        raise RefusedError(Reason.WRONG_FLEET)
    if document.epoch != root.epoch:
        raise RefusedError(Reason.WRONG_EPOCH, f"{document.epoch}, the root is of {root.epoch}")
    return document


def _quorum(paper: Paper, document: Document, judge_: Root, role: str) -> Quorum:
    title = title_of(paper.kind, document)
    try:
        keys, threshold = judge_.keys_of(role)
        _, signed = open_signed(
            paper.envelope, typ=TYPS[paper.kind], keys=keys, bound=limits.DOCUMENT_BYTES
        )
    except RefusedError as error:
        raise MistakeError(f"its {title} is damaged ({error})") from None
    return Quorum(
        paper=paper,
        title=title,
        whose=f"{role} keys of {title_of('root', judge_)}",
        keys=frozenset(keys),
        signed=signed,
        threshold=threshold,
    )
