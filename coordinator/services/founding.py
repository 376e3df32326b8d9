"""A fleet is founded once: keys, certificates, the root document, a database, an admin's token.

Everything lands in one fresh directory. The fleet's row is written last: a directory without it
was never finished and is not used.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from coordinator.contract.fleet import AdminFile
from coordinator.core.access import make_token
from coordinator.core.ports import Store
from coordinator.keys.carrier import create_carrier_key
from coordinator.keys.certificates import create_authority, issue_server
from coordinator.keys.directory import DataDirectory
from coordinator.keys.file_keys import create_signer
from coordinator.transactions.fleet import Document, save_fleet
from coordinator.transactions.tokens import save_token
from shared.clock import Clock, Entropy, WallMs
from shared.errors import MistakeError
from shared.ids import FleetId, key_id
from shared.runtime.files import write_atomically
from shared.trust.catalog import CATALOG_TYP
from shared.trust.envelope import Signer, seal
from shared.trust.policy import POLICY_TYP
from shared.trust.root import DIRECTOR, ENROL, RELEASE, ROOT, ROOT_TYP, Role, Root
from shared.trust.starter import first_catalog, first_policy
from shared.wire.codec import pack

ONE_MACHINE = (
    "every key of this fleet, the root key included, lies on this machine: whoever takes it over "
    "can order anything and change whom the agents trust"
)
ADMIN_DAYS = 365
ROOT_DAYS = 3_653
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Keys:
    """What was written before the database."""

    documents: tuple[Document, ...]
    """The first root, catalog and policy."""
    ca_pem: bytes


def prepare_directory(directory: DataDirectory) -> None:
    """Make an empty data directory that only its owner can look into.

    Raises:
        MistakeError: there is something in it already, or it cannot be made.
    """
    try:
        if directory.path.exists() and any(directory.path.iterdir()):
            raise MistakeError(
                "is not empty", where=str(directory.path), mend="name a directory that is new"
            )
        directory.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.keys.mkdir(mode=0o700)
    except OSError as error:
        raise MistakeError(
            f"cannot be made a data directory ({error.strerror})", where=str(directory.path)
        ) from error


def make_keys(
    directory: DataDirectory, fleet_id: FleetId, *, hosts: Sequence[str], now_ms: WallMs
) -> Keys:
    """Write every key and certificate of a new fleet.

    Raises:
        MistakeError: a host is neither a name nor an address.
        OSError: a file cannot be written.
    """
    authority = create_authority(
        directory.authority,
        directory.authority_key,
        name=f"Outstation fleet {fleet_id.hex()[:8]}",
        now_ms=now_ms,
    )
    issue_server(authority, directory.server, hosts=hosts, now_ms=now_ms)
    officers = _Officers(
        root=create_signer(directory.root_key),
        release=create_signer(directory.release_key),
        director=create_signer(directory.director_key),
        carrier=create_carrier_key(directory.carrier_key),
    )
    return Keys(_first_documents(officers, fleet_id, now_ms), authority.pem)


async def found_fleet(
    store: Store,
    keys: Keys,
    fleet_id: FleetId,
    *,
    url: str,
    clock: Clock,
    entropy: Entropy,
) -> AdminFile:
    """Write a fleet's first rows; return how its first admin gets in."""
    now_ms, token = clock.wall_ms(), make_token(entropy.token(40))
    body = partial(
        save_token,
        token,
        name="admin",
        scope="admin",
        expires_ms=now_ms + ADMIN_DAYS * DAY_MS,
        actor="init",
        now_ms=now_ms,
    )
    await store.run(body, durable=True)
    found = partial(
        save_fleet,
        fleet_id,
        keys.documents,
        url=url,
        page_key=entropy.token(16),
        now_ms=now_ms,
    )
    await store.run(found, durable=True)
    return AdminFile(url, token.text, keys.ca_pem.decode())


def write_admin_file(directory: DataDirectory, admin: AdminFile) -> None:
    """Write ``admin.toml``, readable by its owner only.

    Raises:
        OSError: it cannot be written.
    """
    lines = (
        "# How the outstation command line reaches this coordinator. The token is a password.",
        # JSON strings are TOML basic strings.
        f"url = {json.dumps(admin.url)}",
        f"token = {json.dumps(admin.token)}",
        f'ca = """\n{admin.ca}"""',
    )
    write_atomically(directory.admin, ("\n".join(lines) + "\n").encode(), mode=0o600)


@dataclass(frozen=True, slots=True)
class _Officers:
    root: Signer
    release: Signer
    director: Signer
    carrier: bytes


def _first_documents(
    officers: _Officers, fleet_id: FleetId, now_ms: WallMs
) -> tuple[Document, ...]:
    expires_ms = now_ms + ROOT_DAYS * DAY_MS
    director = Role(1, [key_id(officers.director.public_key)])
    root = Root(
        version=1,
        fleet=fleet_id,
        epoch=1,
        issued_ms=now_ms,
        expires_ms=expires_ms,
        keys=[
            officers.root.public_key,
            officers.release.public_key,
            officers.director.public_key,
        ],
        roles={
            ROOT: Role(1, [key_id(officers.root.public_key)]),
            RELEASE: Role(1, [key_id(officers.release.public_key)]),
            DIRECTOR: director,
            # Both are online on this machine; a key of its own would be stolen together with it.
            ENROL: director,
        },
        carrier=officers.carrier,
    )
    catalog = first_catalog(fleet=fleet_id, issued_ms=now_ms, expires_ms=expires_ms)
    policy = first_policy(fleet=fleet_id, issued_ms=now_ms, expires_ms=expires_ms)
    release = [officers.release]
    return (
        Document("root", 1, 1, seal(ROOT_TYP, pack(root), [officers.root])),
        Document("catalog", 1, 1, seal(CATALOG_TYP, pack(catalog), release)),
        Document("policy", 1, 1, seal(POLICY_TYP, pack(policy), release)),
    )
