"""Parts for tests of the simulated sensor node: keys, images, flash, and a small client.

The client packs headers and frames by hand; it only trusts what stands in the bytes it gets.
"""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_sim.bootloader import Bootloader, Layout, Slot
from firmware_sim.flash import SECTOR_BYTES, Flash
from firmware_sim.mcuboot import Version, make_image

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)


def image(
    version: str = "1.0.0", *, key=KEY, body: bytes | None = None, size: int = 9_000
) -> bytes:
    """A signed image of about `size` bytes whose body begins with `body`."""
    text = body if body is not None else b"firmware " + version.encode()
    filled = (text + b"\0" + bytes(range(256)) * (size // 256 + 1))[:size]
    return make_image(filled, Version(*(int(part) for part in version.split("."))), key)


def loader(*, sectors: int = 8, downgrade: bool = True, first: bytes | None = None) -> Bootloader:
    """A device with an image in its primary slot."""
    layout = Layout(slot_bytes=sectors * SECTOR_BYTES)
    boot = Bootloader(Flash(layout.flash_bytes), layout, KEY.public_key(), downgrade=downgrade)
    boot.write(Slot.PRIMARY, 0, image() if first is None else first)
    return boot
