"""An image in MCUboot's format, judged before a device is touched.

Owns what MCUboot's bootloader will check once the image is there (`bootutil_img_validate`), with
sentences for people. Leaves out reading (`shared.model.mcuboot`), where the bytes come from and
where they go.

Of a bootloader it is not known how it was compiled: whether it checks signatures of the hash or of
the whole, knows its key by the hash or wants all of it, and by which hash it knows both. An image
says for which it was made; it is judged as that one will.
"""

from hashlib import sha256, sha512
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shared.errors import Reason, RefusedError
from shared.model.mcuboot import NON_BOOTABLE, FirmwareImage, Kind

_ED25519_DER: Final = bytes.fromhex("302a300506032b6570032100")
"""SubjectPublicKeyInfo of an Ed25519 key, up to the key (RFC 8410 section 4). `cryptography` writes
it too, with a module that loads RSA, ECDSA and OpenSSH: 1 MB that every agent would carry."""
_ALLOWED: Final = frozenset(
    {
        *(Kind.KEY_HASH, Kind.WHOLE_KEY),
        *(Kind.SHA256, 0x11, Kind.SHA512),
        *(0x20, 0x21, 0x22, 0x23, Kind.ED25519),
        *(0x30, 0x31, 0x32, 0x33, 0x34),
    }
)
"""Outside of what is signed MCUboot takes no other entries: names and hashes, signatures, and
encrypted keys (``allowed_unprot_tlvs``, compiled in unless somebody leaves it out)."""
_SIGNATURE_BYTES: Final = 64
_HASHES: Final = {Kind.SHA256: sha256, Kind.SHA512: sha512}
_WHOLE_KEY_BYTES: Final = 88
"""Room that MCUboot has for a key in an image."""


def check_image(image: FirmwareImage, *, key: bytes) -> None:
    """Check what the bootloader will check.

    Args:
        image: as it was read.
        key: the Ed25519 public key of the device's bootloader.

    Raises:
        RefusedError: FIRMWARE_REFUSED with a sentence.
    """
    if image.flags & NON_BOOTABLE:
        raise _refused("it is marked as not bootable")
    digest = _hash(image, image.covered)
    if any(one.value != digest for one in image.tlvs if one.kind == image.hashed_by):
        what = image.hashed_by.name.replace("SHA", "SHA-")
        raise _refused(f"its {what} is of something else: it was altered")
    whole = _signed_whole(image)
    allowed = _ALLOWED | {Kind.SIGNED_WHOLE} if whole else _ALLOWED
    strange = [one.kind for one in image.tlvs if not one.protected and one.kind not in allowed]
    if strange:
        what = f"its trailer holds an entry of type 0x{strange[0]:02x}"
        raise _refused(f"{what}, which MCUboot takes only among what is signed")
    _check_signatures(image, key, image.covered if whole else digest)


def _hash(image: FirmwareImage, data: bytes) -> bytes:
    """Return the hash of something as the bootloader of such an image makes it."""
    return _HASHES[image.hashed_by](data).digest()


def _signed_whole(image: FirmwareImage) -> bool:
    """Tell whether it was signed as a whole; the first entry that speaks of it decides."""
    said = (one.value for one in image.tlvs if one.kind == Kind.SIGNED_WHOLE)
    return next(said, b"") == b"\x01"


def _check_signatures(image: FirmwareImage, key: bytes, signed: bytes) -> None:
    """Judge each signature that stands behind the name of our key; the last one of them decides."""
    kinds = {one.kind for one in image.tlvs}
    if Kind.ED25519 not in kinds:
        raise _refused("it has no Ed25519 signature")
    naming = Kind.KEY_HASH if Kind.KEY_HASH in kinds else Kind.WHOLE_KEY
    public = Ed25519PublicKey.from_public_bytes(key)
    named, good = False, None
    for one in image.tlvs:
        if one.kind == naming:
            named = _names(image, naming, one.value, key)
        elif one.kind == Kind.ED25519 and named:
            good, named = _fits(public, one.value, signed), False
    if good is None:
        what = "it is not signed with the key of this device's profile: made for another board?"
        raise _refused(what)
    if not good:
        raise _refused("its signature is not of the key that it names, that of this profile")


def _names(image: FirmwareImage, naming: Kind, value: bytes, key: bytes) -> bool:
    """Tell whether an entry names this key.

    Raises:
        RefusedError: it is so long that the bootloader gives the image up.
    """
    der = _ED25519_DER + key
    digest = _hash(image, der)
    if len(value) > (len(digest) if naming is Kind.KEY_HASH else _WHOLE_KEY_BYTES):
        raise _refused("the name of its key is longer than names are")
    # MCUboot compares as many bytes of a hash as there are.
    return digest.startswith(value) if naming is Kind.KEY_HASH else value == der


def _fits(public: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    if len(signature) != _SIGNATURE_BYTES:
        raise _refused("its signature has a length that none has")
    try:
        public.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def _refused(what: str) -> RefusedError:
    return RefusedError(Reason.FIRMWARE_REFUSED, what)
