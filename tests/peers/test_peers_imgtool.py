"""Images that MCUboot's imgtool signed, judged by the agent and by the simulated bootloader."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from agent.core import firmware_image as agent
from firmware_sim import mcuboot as sim
from firmware_sim.mcuboot import Build
from shared.errors import RefusedError
from shared.model.mcuboot import read_header, read_image, read_trailer
from tests.mcuboot_parts import KEY_HASH
from tests.peers.foundry import BIN, Foundry, imgtool

pytestmark = pytest.mark.skipif(
    not (BIN / "imgtool").exists(), reason="imgtool is not installed (make peers)"
)
WAYS = {
    "usual": ((), Build()),
    "counted and with a vendor's entry": (
        ("--security-counter", "7", "--custom-tlv", "0xa0", "0x1234"),
        Build(),
    ),
    "for hardware keys": (("--public-key-format", "full"), Build(whole_key=True)),
    "known by its SHA-512": (("--sha", "512"), Build(sha512=True)),
    "signed as a whole": (("--pure",), Build(pure=True, sha512=True)),
    "signed as a whole for hardware keys": (
        ("--pure", "--public-key-format", "full"),
        Build(pure=True, sha512=True, whole_key=True),
    ),
}


@pytest.fixture
def foundry(tmp_path: Path) -> Foundry:
    return Foundry(tmp_path)


def key(foundry: Foundry, name: str = "ours") -> Ed25519PrivateKey:
    found = load_pem_private_key(foundry.key(name).read_bytes(), None)
    assert isinstance(found, Ed25519PrivateKey)
    return found


def judge(foundry: Foundry, data: bytes) -> None:
    public = key(foundry).public_key().public_bytes_raw()
    agent.check_image(read_image(data), key=public)


@pytest.mark.parametrize(("more", "build"), WAYS.values(), ids=WAYS.keys())
def test_what_imgtool_signs_is_taken_by_the_bootloader_it_is_for(
    foundry: Foundry, more: tuple[str, ...], build: Build
) -> None:
    path = foundry.image("2.1.0+9", *more)
    assert imgtool("verify", "--key", foundry.key("ours"), path).returncode == 0
    data = path.read_bytes()
    judge(foundry, data)
    sim.check_image(sim.read_image(data, build), key(foundry).public_key(), build)
    header = read_header(data)
    assert header is not None
    assert str(header.version) == "2.1.0.9"
    trailer = read_trailer(data[header.trailer_at :])
    assert (trailer.hash, trailer.signed) == (read_image(data).digest.hex(), True)


@pytest.mark.parametrize(("more", "build"), WAYS.values(), ids=WAYS.keys())
def test_what_imgtool_signs_with_another_key_is_taken_by_nobody(
    foundry: Foundry, more: tuple[str, ...], build: Build
) -> None:
    path = foundry.image("2.1.0", *more, key="theirs")
    assert imgtool("verify", "--key", foundry.key("ours"), path).returncode != 0
    data = path.read_bytes()
    with pytest.raises(RefusedError, match="made for another board"):
        judge(foundry, data)
    with pytest.raises(sim.ImageError):
        sim.check_image(sim.read_image(data, build), key(foundry).public_key(), build)


def test_a_name_that_is_not_of_the_key_is_found_in_an_image_of_imgtool(foundry: Foundry) -> None:
    data = foundry.image("2.1.0").read_bytes()
    (name,) = (one.value for one in read_image(data).tlvs if one.kind == KEY_HASH)
    altered = data.replace(name, bytes((name[0] ^ 1,)) + name[1:])
    assert altered != data
    with pytest.raises(RefusedError, match="made for another board"):
        judge(foundry, altered)
    with pytest.raises(sim.ImageError):
        sim.check_image(sim.read_image(altered), key(foundry).public_key())


@pytest.mark.parametrize("build", [build for _, build in WAYS.values() if not build.whole_key])
def test_what_the_simulator_signs_is_taken_by_imgtool(foundry: Foundry, build: Build) -> None:
    path = foundry.folder / "simulated.bin"
    data = sim.make_image(bytes(5_000), sim.Version(3, 1), key(foundry), build)
    path.write_bytes(data)
    assert imgtool("verify", "--key", foundry.key("ours"), path).returncode == 0
    path.write_bytes(data[:100] + b"!" + data[101:])
    assert imgtool("verify", "--key", foundry.key("ours"), path).returncode != 0
