"""A fleet's founding papers from fixed keys: the same in every run, and made once per process.

Keys of a founding are random in the product; here they are as fixed as everything else.
"""

from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from msgspec.structs import replace

from coordinator.core.drafts import RoleKeys, loud_catalog, plain_policy
from coordinator.core.ports import Store
from coordinator.keys.directory import DataDirectory
from coordinator.services.ceremony import FoundingRequest, Offices, founding_papers, sign
from coordinator.services.founding import found_fleet
from coordinator.store.sqlite import SqliteStore
from shared.clock import Clock, WallMs
from shared.ids import key_id
from shared.trust.envelope import KeySigner
from shared.trust.policy import Approver, Policy
from shared.trust.root import Root
from shared.trust.starter import OPERATE
from tests.simulation.loop import START_WALL_MS, SeededEntropy

FLEET = b"a fleet to break"
DAY_MS = 86_400_000
FOUNDED_MS = WallMs(START_WALL_MS - 30 * DAY_MS)
PEOPLE = ("ada", "bob", "eve")
"""Who may approve; two of them must."""
GUARDED = "guarded"


def signer_of(name: str) -> KeySigner:
    """Return the key of a role or a person."""
    return KeySigner(name.encode().ljust(32, b"."))


def write_fleet(folder: Path) -> None:
    """Put a coordinator's directory, as founded, into an empty folder."""
    for name, data in _files().items():
        path = folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(data)


@cache
def _files() -> dict[str, bytes]:
    """Return the key files, without the database."""
    directory = DataDirectory(Path())
    files = {str(directory.authority): b"no certificates in this world\n"}
    for path, name in (
        (directory.director_key, "director"),
        (directory.root_key, "root"),
        (directory.release_key, "release"),
    ):
        files[str(path)] = _pem(Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b".")))
    files[str(directory.carrier_key)] = _pem(_carrier())
    return files


async def found(folder: Path, clock: Clock, entropy: SeededEntropy) -> None:
    """Found the fleet in a folder that has its keys."""
    async with await SqliteStore.open(DataDirectory(folder).database) as store:
        await found_in(store, clock, entropy)


async def found_in(store: Store, clock: Clock, entropy: SeededEntropy) -> None:
    """Write the fleet's first rows."""
    request = FoundingRequest(
        fleet=FLEET.hex(),
        url="https://127.0.0.1:1",
        director=signer_of("director").public_key.hex(),
        carrier=_carrier().public_key().public_bytes_raw().hex(),
    )
    offices = Offices(
        root=RoleKeys([signer_of("root").public_key], 1),
        release=RoleKeys([signer_of("release").public_key], 1),
    )
    drafts = founding_papers(
        request, offices, now_ms=FOUNDED_MS, catalog=loud_catalog, policy=guarded_policy
    )
    papers = sign(drafts, [signer_of("root"), signer_of("release")])
    await found_fleet(store, papers, request, ca_pem="", clock=clock, entropy=entropy)


def guarded_policy(root: Root) -> Policy:
    """Return the policy of a fleet in which guarded jobs need two of three people."""
    plain = plain_policy(root)
    people = [Approver(name, signer_of(name).public_key) for name in PEOPLE]
    keys = [key_id(person.key) for person in people]
    guarded = replace(plain.classes[OPERATE], threshold=2, approvers=list(keys))
    return replace(plain, approvers=people, classes={**plain.classes, GUARDED: guarded})


def _carrier() -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(b"carrier".ljust(32, b"."))


def _pem(key: Ed25519PrivateKey | X25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
