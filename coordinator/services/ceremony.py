"""Papers between the coordinator and the offline keys: signed, checked, adopted.

Owns the files of the way and the order of its steps. The drafts themselves are made in
`coordinator.core.drafts`, and judged in `coordinator.core.papers`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from coordinator.core.drafts import Online, RoleKeys, draft, first_root, plain_policy
from coordinator.core.papers import (
    PAPERS_BYTES,
    Paper,
    Papers,
    Trusted,
    decode_papers,
    encode_papers,
    judge,
    quorums,
)
from coordinator.core.papers_text import missing
from coordinator.core.ports import LivingStore
from coordinator.keys.directory import DataDirectory
from coordinator.keys.file_keys import FileSigner, find_signer
from coordinator.services.hints import tell_of_documents
from coordinator.transactions.fleet import adopt
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError, RefusedError
from shared.ids import FleetId, KeyId, key_id
from shared.runtime.files import write_atomically
from shared.trust.catalog import Catalog
from shared.trust.envelope import Signer, add_signature
from shared.trust.policy import Policy
from shared.trust.root import DIRECTOR, Root

_REQUEST_FORM = 1


class FoundingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the offline keys have to know of a coordinator to found its fleet; all of it public."""

    outstation_founding: int = _REQUEST_FORM
    fleet: str
    url: str
    director: str
    """Public key, hex."""
    carrier: str
    """The same, of the key that opens sticks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offices:
    """The offline keys that a fleet begins with."""

    root: RoleKeys
    release: RoleKeys


def read_papers(path: Path) -> Papers:
    """Return the papers in a file.

    Raises:
        MistakeError: it cannot be read, or holds something else.
    """
    return decode_papers(_read(path), where=str(path))


def write_papers(path: Path, papers: Papers) -> None:
    """Write papers; there is nothing secret in them.

    Raises:
        MistakeError: they cannot be written there.
    """
    try:
        write_atomically(path, encode_papers(papers), mode=0o644)
    except OSError as error:
        raise MistakeError(f"cannot be written ({error.strerror})", where=str(path)) from error


def write_request(path: Path, request: FoundingRequest) -> None:
    """Write a request; there is nothing secret in it.

    Raises:
        OSError: it cannot be written.
    """
    data = msgspec.json.format(msgspec.json.encode(request), indent=2) + b"\n"
    write_atomically(path, data, mode=0o644)


def read_request(path: Path) -> FoundingRequest:
    """Return the request in a file.

    Raises:
        MistakeError: it cannot be read, or holds something else.
    """
    try:
        request = msgspec.json.decode(_read(path), type=FoundingRequest)
        parts = (request.fleet, request.director, request.carrier)
        sizes = [len(bytes.fromhex(part)) for part in parts]
    except (msgspec.DecodeError, ValueError) as error:
        raise MistakeError(
            f"is no request of a coordinator ({error})",
            where=str(path),
            mend="name the request.json that init --ceremony wrote",
        ) from None
    if request.outstation_founding != _REQUEST_FORM or sizes != [16, 32, 32]:
        raise MistakeError("is a request that this program does not know", where=str(path))
    return request


def founding_papers(
    request: FoundingRequest,
    offices: Offices,
    *,
    now_ms: WallMs,
    catalog: Callable[[Root], Catalog],
    policy: Callable[[Root], Policy] = plain_policy,
) -> Papers:
    """Return the drafts that found a fleet.

    Raises:
        MistakeError: the keys cannot be a key set.
    """
    root = first_root(
        FleetId(bytes.fromhex(request.fleet)),
        root=offices.root,
        release=offices.release,
        online=Online(bytes.fromhex(request.director), bytes.fromhex(request.carrier)),
        now_ms=now_ms,
    )
    drafts = [
        draft("root", root),
        draft("catalog", catalog(root)),
        draft("policy", policy(root)),
    ]
    return Papers(before=[], drafts=drafts)


def check_founding(
    papers: Papers, request: FoundingRequest, *, now_ms: WallMs, where: str
) -> Trusted:
    """Return the first documents, once they are complete and answer this very request.

    Raises:
        MistakeError: they do not.
    """
    check_complete(papers, where=where)
    after = judge(None, papers.drafts, now_ms=now_ms, where=where)
    if after.root.fleet.hex() != request.fleet:
        raise MistakeError(
            "founds another fleet", where=where, mend="make the papers from this one's request.json"
        )
    directors, _ = after.root.keys_of(DIRECTOR)
    named = ([key.hex() for key in directors.values()], after.root.carrier.hex())
    if named != ([request.director], request.carrier):
        raise MistakeError(
            "names other online keys than this coordinator has",
            where=where,
            mend="make the papers anew from this one's request.json",
        )
    return after


def sign(papers: Papers, signers: Iterable[Signer]) -> Papers:
    """Return the papers with the signatures that these keys can give and that still count.

    Raises:
        MistakeError: a draft is damaged, or full of signatures.
    """
    drafts = list(papers.drafts)
    asked = [(quorum.paper, quorum.keys) for quorum in quorums(papers)]
    for signer in signers:
        key = key_id(signer.public_key)
        for place, paper in enumerate(papers.drafts):
            if any(of is paper and key in keys for of, keys in asked):
                drafts[place] = _signed(drafts[place], signer)
    return msgspec.structs.replace(papers, drafts=drafts)


def sign_here(papers: Papers, directory: DataDirectory) -> Papers:
    """Return the papers signed by whatever offline key lies on this machine.

    Raises:
        MistakeError: a key file cannot be used.
    """
    return sign(papers, map(FileSigner, directory.offline_keys()))


def wanted_keys(papers: Papers) -> Mapping[KeyId, Sequence[str]]:
    """Return the keys that may sign, each with the drafts it may sign."""
    wanted: dict[KeyId, list[str]] = {}
    for quorum in quorums(papers):
        for key in quorum.keys:
            titles = wanted.setdefault(key, [])
            if quorum.title not in titles:
                titles.append(quorum.title)
    return wanted


async def adopt_papers(
    store: LivingStore, directory: DataDirectory, papers: Papers, *, where: str, now_ms: WallMs
) -> Trusted:
    """Put complete papers into force, and tell the coordinator if it runs.

    Raises:
        MistakeError: they do not follow what is in force, or their director's key is not here.
        WorldError: the disk did not obey.
    """
    check_complete(papers, where=where)
    check_director(directory, papers, where=where)
    body = partial(adopt, papers, where=where, actor="command line", now_ms=now_ms)
    before, after = await store.run(body, durable=True)
    discard_keys(directory, before.root, after.root)
    await tell_of_documents(store, directory.bell)
    return after


def check_complete(papers: Papers, *, where: str) -> None:
    """Check that no signature is missing, by what the papers themselves say is in force.

    Raises:
        MistakeError: one is.
    """
    lacking = missing(papers)
    if lacking:
        raise MistakeError(
            f"lacks signatures: {lacking[0]}",
            where=where,
            mend="outstation-coordinator office sign FILE --key KEY, where the key is",
        )


def check_director(directory: DataDirectory, papers: Papers, *, where: str) -> None:
    """Check that this machine has the key that the newest root in some papers gives to it.

    Raises:
        MistakeError: it has not.
    """
    roots = [one for paper in papers.drafts if isinstance(one := paper.read(), Root)]
    if not roots:
        return
    keys, _ = roots[-1].keys_of(DIRECTOR)
    if find_signer(directory.director_keys(), keys) is None:
        raise MistakeError(
            "names a director whose key is not on this machine",
            where=where,
            mend="papers go home to the coordinator that asked for them",
        )


def discard_keys(directory: DataDirectory, before: Root, after: Root) -> None:
    """Remove the keys on this machine that spoke for something and do so no more.

    A key that a later root will name stays.

    Raises:
        OSError: the directory cannot be written.
    """
    gone = {key_id(key) for key in before.keys} - {key_id(key) for key in after.keys}
    for path in (*directory.director_keys(), *directory.offline_keys()):
        if key_id(FileSigner(path).public_key) in gone:
            path.unlink()


def _signed(paper: Paper, signer: Signer) -> Paper:
    try:
        envelope = add_signature(paper.envelope, signer, bound=limits.DOCUMENT_BYTES)
    except RefusedError as error:
        raise MistakeError(f"its {paper.kind} cannot be signed: {error.detail}") from None
    return Paper(paper.kind, envelope)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(PAPERS_BYTES + 1)
    except OSError as error:
        raise MistakeError(f"cannot be read ({error.strerror})", where=str(path)) from error
