"""What MCUboot takes of a trailer's entries: the agent judges as the simulated bootloader does.

The cases are those of bootutil's `bootutil_img_validate`: a name of a key stands before each
signature, several may follow one another, and what is not signed holds nothing else.
"""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.core import firmware_image as agent
from firmware_sim import mcuboot as sim
from firmware_sim.mcuboot import Build, ImageFault
from shared.errors import Reason, RefusedError
from shared.model.mcuboot import read_image, read_trailer
from tests.fuzz.running import corpus
from tests.mcuboot_parts import (
    ED25519,
    KEY_HASH,
    LONG,
    PURE,
    SHA512,
    WHOLE_KEY,
    covered,
    der,
    hashed,
    named,
    signature,
    trailed,
)
from tests.smp_parts import KEY, STRANGER, image

SIGNED = covered()
HASH, OURS, THEIRS = hashed(SIGNED), signature(SIGNED), signature(SIGNED, STRANGER)
WRONG = (ED25519, bytes(64))
NOT_OURS = "not signed with the key of this device's profile"

WITH_NAME = covered(named())
WITH_VENDOR = covered((0xA0, b"vendor"))
TAKEN = {
    "as MCUboot's signer writes it": trailed(SIGNED, HASH, named(), OURS),
    "hash at the end": trailed(SIGNED, named(), OURS, HASH),
    "another's signature first": trailed(SIGNED, HASH, named(STRANGER), THEIRS, named(), OURS),
    "another's signature last": trailed(SIGNED, HASH, named(), OURS, named(STRANGER), THEIRS),
    "a nameless signature after it": trailed(SIGNED, HASH, named(), OURS, WRONG),
    "two of ours, the last fits": trailed(SIGNED, HASH, named(), WRONG, named(), OURS),
    "a name that was cut": trailed(SIGNED, HASH, (KEY_HASH, named()[1][:4]), OURS),
    "the name among what is signed": trailed(WITH_NAME, hashed(WITH_NAME), signature(WITH_NAME)),
    "a vendor's entry that is signed": trailed(
        WITH_VENDOR, hashed(WITH_VENDOR), named(), signature(WITH_VENDOR)
    ),
    "an encrypted key": trailed(SIGNED, HASH, (0x33, bytes(80)), named(), OURS),
}
REFUSED = {
    "another's name": (
        trailed(SIGNED, HASH, named(STRANGER), OURS),
        *(ImageFault.NO_SIGNATURE, NOT_OURS),
    ),
    "no name": (trailed(SIGNED, HASH, OURS), ImageFault.NO_SIGNATURE, NOT_OURS),
    "the name behind the signature": (
        trailed(SIGNED, HASH, OURS, named()),
        *(ImageFault.NO_SIGNATURE, NOT_OURS),
    ),
    "one name for two signatures": (
        trailed(SIGNED, HASH, named(), WRONG, OURS),
        *(ImageFault.WRONG_SIGNATURE, "not of the key that it names"),
    ),
    "our name on another's signature": (
        trailed(SIGNED, HASH, named(), THEIRS),
        *(ImageFault.WRONG_SIGNATURE, "not of the key that it names"),
    ),
    "two of ours, the last does not fit": (
        trailed(SIGNED, HASH, named(), OURS, named(), WRONG),
        *(ImageFault.WRONG_SIGNATURE, "not of the key that it names"),
    ),
    "no signature": (
        trailed(SIGNED, HASH, named()),
        *(ImageFault.NO_SIGNATURE, "no Ed25519 signature"),
    ),
    "a short signature": (
        trailed(SIGNED, HASH, named(), (ED25519, OURS[1][:63])),
        *(ImageFault.BAD_SIGNATURE, "a length that none has"),
    ),
    "a long name": (
        trailed(SIGNED, HASH, (KEY_HASH, named()[1] + b"\0"), OURS),
        *(ImageFault.BAD_NAME, "longer than names are"),
    ),
    "a vendor's entry that is not signed": (
        trailed(SIGNED, HASH, named(), OURS, (0xA0, b"vendor")),
        *(ImageFault.STRANGE_TLV, "an entry of type 0xa0"),
    ),
    "a counter that is not signed": (
        trailed(SIGNED, HASH, (0x50, bytes(4)), named(), OURS),
        *(ImageFault.STRANGE_TLV, "an entry of type 0x50"),
    ),
}


def simulated(data: bytes, build: Build = sim.USUAL, key: Ed25519PrivateKey = KEY) -> None:
    sim.check_image(sim.read_image(data, build), key.public_key(), build)


def judged(data: bytes, key: Ed25519PrivateKey = KEY) -> None:
    agent.check_image(read_image(data), key=key.public_key().public_bytes_raw())


@pytest.mark.parametrize("data", TAKEN.values(), ids=TAKEN.keys())
def test_what_the_bootloader_takes_the_agent_sends(data: bytes):
    simulated(data)
    judged(data)


@pytest.mark.parametrize(("data", "fault", "what"), REFUSED.values(), ids=REFUSED.keys())
def test_what_the_bootloader_refuses_is_never_sent(data: bytes, fault: ImageFault, what: str):
    with pytest.raises(sim.ImageError) as refused:
        simulated(data)
    assert refused.value.fault is fault
    with pytest.raises(RefusedError) as told:
        judged(data)
    assert told.value.reason is Reason.FIRMWARE_REFUSED
    assert what in told.value.detail


PURELY = trailed(SIGNED, HASH, (PURE, b"\1"), named(), signature(SIGNED, whole=True))


def test_an_image_that_is_signed_as_a_whole_is_for_bootloaders_that_want_it_so():
    judged(PURELY)
    simulated(PURELY, Build(pure=True))
    with pytest.raises(sim.ImageError) as refused:
        simulated(PURELY)
    assert refused.value.fault is ImageFault.STRANGE_TLV
    with pytest.raises(sim.ImageError) as refused:
        simulated(TAKEN["as MCUboot's signer writes it"], Build(pure=True))
    assert refused.value.fault is ImageFault.NOT_PURE


@pytest.mark.parametrize("said", [b"", b"\0", b"\1\1"])
def test_an_image_that_only_speaks_of_being_signed_as_a_whole_is_refused(said: bytes):
    data = trailed(SIGNED, HASH, (PURE, said), named(), OURS)
    with pytest.raises(RefusedError, match="type 0x25"):
        judged(data)
    for build in (sim.USUAL, Build(pure=True)):
        with pytest.raises(sim.ImageError):
            simulated(data, build)


def test_an_image_that_brings_its_key_along_is_for_bootloaders_that_want_it_so():
    data = trailed(SIGNED, HASH, (WHOLE_KEY, der()), OURS)
    judged(data)
    simulated(data, Build(whole_key=True))
    with pytest.raises(sim.ImageError) as refused:
        simulated(data)
    assert refused.value.fault is ImageFault.NO_SIGNATURE


@pytest.mark.parametrize("key", [der(STRANGER), der() + bytes(60), der()[:-1], b""])
def test_a_key_that_is_brought_along_has_to_be_the_devices(key: bytes):
    data = trailed(SIGNED, HASH, (WHOLE_KEY, key), OURS)
    with pytest.raises(RefusedError):
        judged(data)
    with pytest.raises(sim.ImageError):
        simulated(data, Build(whole_key=True))


LONGER = {
    "of the hash": trailed(
        SIGNED, hashed(SIGNED, LONG), named(how=LONG), signature(SIGNED, how=LONG)
    ),
    "of the whole": trailed(
        *(SIGNED, hashed(SIGNED, LONG), (PURE, b"\1")),
        *(named(how=LONG), signature(SIGNED, whole=True)),
    ),
    "with its key": trailed(
        SIGNED, hashed(SIGNED, LONG), (WHOLE_KEY, der()), signature(SIGNED, how=LONG)
    ),
}
WANTED = {
    "of the hash": Build(sha512=True),
    "of the whole": Build(sha512=True, pure=True),
    "with its key": Build(sha512=True, whole_key=True),
}


@pytest.mark.parametrize("kind", LONGER)
def test_an_image_known_by_its_sha512_is_for_bootloaders_that_were_built_so(kind: str):
    data = LONGER[kind]
    judged(data)
    simulated(data, WANTED[kind])
    assert len(read_image(data).digest) == 64
    assert read_trailer(data[len(SIGNED) :]).hash == hashed(SIGNED, LONG)[1].hex()
    with pytest.raises(sim.ImageError) as refused:
        simulated(data)
    assert refused.value.fault is ImageFault.NO_HASH


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (
            trailed(SIGNED, hashed(SIGNED, LONG), named(), signature(SIGNED, how=LONG)),
            NOT_OURS,  # a bootloader has one hash for both
        ),
        (
            trailed(SIGNED, hashed(SIGNED, LONG), named(how=LONG), OURS),
            "not of the key that it names",
        ),
        (
            trailed(SIGNED, (SHA512, bytes(64)), named(how=LONG), OURS),
            "its SHA-512 is of something else",
        ),
        (trailed(SIGNED, (SHA512, HASH[1]), named(), OURS), "one SHA-256 or SHA-512"),
        (
            trailed(SIGNED, HASH, hashed(SIGNED, LONG), named(), OURS),
            "one SHA-256 or SHA-512",
        ),
        (
            trailed(
                *(SIGNED, hashed(SIGNED, LONG), named(STRANGER, how=LONG)),
                signature(SIGNED, how=LONG),
            ),
            NOT_OURS,
        ),
    ],
)
def test_what_no_bootloader_for_sha512_takes_is_never_sent(data: bytes, what: str):
    with pytest.raises(RefusedError) as told:
        judged(data)
    assert what in told.value.detail
    with pytest.raises(sim.ImageError):
        simulated(data, Build(sha512=True))


@pytest.mark.parametrize("build", [*WANTED.values(), sim.USUAL, Build(pure=True)])
def test_what_the_simulator_signs_for_a_bootloader_is_taken_by_it(build: Build):
    data = sim.make_image(b"firmware", sim.Version(2), KEY, build)
    judged(data)
    simulated(data, build)


def test_a_hash_among_what_is_signed_is_checked_too():
    signed = covered(HASH)
    data = trailed(signed, hashed(signed), named(), signature(signed))
    with pytest.raises(RefusedError, match="it was altered"):
        judged(data)
    with pytest.raises(sim.ImageError) as refused:
        simulated(data)
    assert refused.value.fault is ImageFault.WRONG_HASH


@pytest.mark.parametrize("target", ["mcuboot", "firmware"])
def test_what_was_found_is_kept_where_it_is_tried_again(target: str):
    kept = {path.stem: path.read_bytes() for path in corpus(target)}
    good = image(size=3_000)
    found = good[:3_076] + bytes((good[3_076] ^ 1,)) + good[3_077:]
    assert kept["names-another-key"] == found
    with pytest.raises(sim.ImageError) as refused:
        simulated(found)
    assert refused.value.fault is ImageFault.NO_SIGNATURE
    with pytest.raises(RefusedError, match=NOT_OURS):
        judged(found)


def test_a_list_shows_what_can_be_read_of_a_trailer_that_is_cut():
    whole = TAKEN["as MCUboot's signer writes it"][len(SIGNED) :]
    assert read_trailer(whole).signed
    cut = read_trailer(whole[:-1])
    assert (cut.hash, cut.signed) == (HASH[1].hex(), False)
    assert read_trailer(b"").hash == read_trailer(bytes(200)).hash == ""
