"""Bytes that any release has signed or sent are read by this one as they were meant."""

import json

import pytest

from shared import limits
from shared.clock import WallMs
from shared.model.job import JobSpec
from shared.sync.body import PartKind, decode_body
from shared.trust.catalog import CATALOG_TYP, Catalog
from shared.trust.documents import open_bundle, open_enroll, open_reply, open_report, open_root
from shared.trust.envelope import open_envelope
from shared.trust.fetch import open_fetch
from shared.trust.policy import POLICY_TYP, Policy
from shared.wire.codec import unpack
from tests.golden.wire import vectors as meant

VECTORS = {name: bytes.fromhex(text) for name, text in json.loads(meant.FILE.read_text()).items()}


def test_this_release_writes_the_frozen_bytes() -> None:
    assert meant.vectors() == VECTORS


def test_frozen_documents_mean_what_they_always_meant() -> None:
    root = open_root(VECTORS["root"], trusted=None)
    assert root == meant.ROOT
    assert open_bundle(VECTORS["bundle"], root) == meant.BUNDLE
    assert open_reply(VECTORS["reply"], root) == meant.REPLY
    assert open_report(VECTORS["report"], meant.signer("agent").public_key) == meant.REPORT
    assert open_enroll(VECTORS["enroll"]) == meant.ENROLL
    fetch = open_fetch(VECTORS["fetch"], meant.signer("agent").public_key, now_ms=WallMs(meant.NOW))
    assert fetch == meant.FETCH
    assert unpack(VECTORS["spec"], JobSpec, bound=limits.SPEC_BYTES) == meant.SPEC


@pytest.mark.parametrize(
    ("name", "typ", "kind", "meaning"),
    [
        ("catalog", CATALOG_TYP, Catalog, meant.CATALOG),
        ("policy", POLICY_TYP, Policy, meant.POLICY),
    ],
)
def test_what_release_signed_means_what_it_always_meant(
    name: str, typ: str, kind: type[object], meaning: object
) -> None:
    keys, threshold = meant.ROOT.keys_of("release")
    payload = open_envelope(
        VECTORS[name], typ=typ, keys=keys, threshold=threshold, bound=limits.DOCUMENT_BYTES
    )
    assert unpack(payload, kind, bound=limits.DOCUMENT_BYTES) == meaning


def test_frozen_contacts_hold_the_same_parts() -> None:
    up = decode_body(VECTORS["contact"], bound=limits.BODY_BYTES_UP)
    assert [(part.kind, part.data) for part in up] == [
        (PartKind.REPORT, VECTORS["report"]),
        (PartKind.BLOCK, b"block"),
    ]
    down = decode_body(VECTORS["answer"], bound=limits.BODY_BYTES_DOWN)
    assert [(part.kind, part.data) for part in down] == [
        (PartKind.REPLY, VECTORS["reply"]),
        (PartKind.BUNDLE, VECTORS["bundle"]),
    ]
