"""A fleet is founded once: keys, certificates, the root document, a database, an admin's token.

Everything lands in one fresh directory. The fleet's row is written last: a directory without it
was never finished and is not used.
"""

import json
from collections.abc import Sequence
from functools import partial

from coordinator.contract.fleet import AdminFile
from coordinator.core.access import make_token
from coordinator.core.drafts import RoleKeys, loud_catalog
from coordinator.core.papers import Papers
from coordinator.core.ports import Store
from coordinator.keys.carrier import create_carrier_key
from coordinator.keys.certificates import create_authority, issue_server
from coordinator.keys.directory import DataDirectory
from coordinator.keys.file_keys import create_signer
from coordinator.services.ceremony import FoundingRequest, Offices, founding_papers, sign
from coordinator.transactions.fleet import save_fleet
from coordinator.transactions.tokens import save_token
from shared.clock import Clock, Entropy, WallMs
from shared.errors import MistakeError
from shared.ids import FleetId
from shared.runtime.files import write_atomically

ONE_MACHINE = (
    "every key of this fleet, the root key included, lies on this machine: whoever takes it over "
    "can order anything and change whom the agents trust"
)
ADMIN_DAYS = 365
DAY_MS = 86_400_000


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
    except OSError as error:
        raise MistakeError(
            f"cannot be made a data directory ({error.strerror})", where=str(directory.path)
        ) from error


def make_online_keys(
    directory: DataDirectory, fleet_id: FleetId, *, hosts: Sequence[str], url: str, now_ms: WallMs
) -> FoundingRequest:
    """Write the keys and certificates that a coordinator itself needs; return what is public.

    Raises:
        MistakeError: a host is neither a name nor an address.
        OSError: a file cannot be written.
    """
    directory.keys.mkdir(mode=0o700)
    authority = create_authority(
        directory.authority,
        directory.authority_key,
        name=f"Outstation fleet {fleet_id.hex()[:8]}",
        now_ms=now_ms,
    )
    issue_server(authority, directory.server, hosts=hosts, now_ms=now_ms)
    return FoundingRequest(
        fleet=fleet_id.hex(),
        url=url,
        director=create_signer(directory.director_key).public_key.hex(),
        carrier=create_carrier_key(directory.carrier_key).hex(),
    )


def make_first_papers(
    directory: DataDirectory, request: FoundingRequest, *, now_ms: WallMs
) -> Papers:
    """Write the offline keys beside the online ones; return signed documents that allow anything.

    Raises:
        OSError: a file cannot be written.
    """
    root, release = create_signer(directory.root_key), create_signer(directory.release_key)
    offices = Offices(
        root=RoleKeys([root.public_key], 1), release=RoleKeys([release.public_key], 1)
    )
    papers = founding_papers(request, offices, now_ms=now_ms, catalog=loud_catalog)
    return sign(papers, [root, release])


async def found_fleet(
    store: Store,
    papers: Papers,
    request: FoundingRequest,
    *,
    ca_pem: str,
    clock: Clock,
    entropy: Entropy,
) -> AdminFile:
    """Write a fleet's first rows; return how its first admin gets in.

    Raises:
        WorldError: the disk did not obey.
    """
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
        FleetId(bytes.fromhex(request.fleet)),
        papers.drafts,
        url=request.url,
        page_key=entropy.token(16),
        now_ms=now_ms,
    )
    await store.run(found, durable=True)
    return AdminFile(request.url, token.text, ca_pem)


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
