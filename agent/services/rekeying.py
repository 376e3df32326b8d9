"""Another key for an agent that does not run; a running one does it at its next contact."""

from pathlib import Path

from agent.core.uplink import LinkFailed
from agent.services.contact_http import HttpLink
from agent.services.endpoint import parse_url
from agent.services.identity import (
    ENROLMENT_NAME,
    AgentKey,
    find_certificate,
    load_enrolment,
)
from agent.services.membership import change_key
from agent.services.speaker import Speaker
from shared.errors import MistakeError
from shared.runtime.clock import SystemEntropy
from shared.runtime.files import lock_directory
from shared.trust.envelope import KeySigner


async def rekey_at_rest(data_dir: Path) -> tuple[str, KeySigner | LinkFailed]:
    """Change the key of an agent that does not run; return the coordinator's URL and the end.

    Raises:
        MistakeError: it runs after all, is not enrolled, or a file cannot be used.
        OSError: the disk does not obey.
    """
    where = str(data_dir / ENROLMENT_NAME)
    enrolment = load_enrolment(data_dir)
    if enrolment is None:
        raise MistakeError("this box is not enrolled", where=str(data_dir), mend="enrol first")
    with lock_directory(data_dir):
        door = HttpLink(parse_url(enrolment.url, where=where), ca_pem=enrolment.ca_pem, where=where)
        if certificate := find_certificate(data_dir):
            door.present(certificate)
        speaker = Speaker(
            enrolment=enrolment,
            key=AgentKey.load(data_dir),
            # A newer root than the enrolment's may be in jobs.db; the next contact judges by it.
            root=lambda: enrolment.root,
            door=door,
        )
        try:
            return enrolment.url, await change_key(speaker, data_dir, SystemEntropy())
        finally:
            await door.close()
