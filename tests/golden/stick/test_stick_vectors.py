"""Sticks that were ever written are read as they were meant."""

import json

from shared.sync.body import Part, PartKind
from shared.sync.stick import StickDecoder, open_parcel
from shared.trust.carried import open_carried, open_return
from tests.golden.stick.vectors import CARRIED, FILE, FLEET_KEY, RETURN, headers
from tests.golden.wire.vectors import ROOT, signer

GOLDEN = {way: bytes.fromhex(data) for way, data in json.loads(FILE.read_text()).items()}
KEYS = {"up": FLEET_KEY, "down": signer("agent").receiving_key()}


def opened(way: str) -> list[Part]:
    decoder = StickDecoder()
    (sealed,) = decoder.feed(GOLDEN[way])
    decoder.finish()
    assert decoder.header == headers()[way]
    return open_parcel(decoder.header, sealed, KEYS[way])


def test_a_stick_for_the_coordinator_is_read():
    carried, block = opened("up")
    assert open_carried(carried.data, signer("agent").public_key) == CARRIED
    assert block == Part(PartKind.BLOCK, b"block")


def test_a_stick_for_an_agent_is_read():
    answer, bundle = opened("down")
    assert open_return(answer.data, ROOT) == RETURN
    assert bundle == Part(PartKind.BUNDLE, b"bundle")
