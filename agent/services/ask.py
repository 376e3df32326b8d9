"""Asking how an agent is: through its socket while it runs, from its files while it does not.

Owns the asking side of the socket; loads next to nothing, for `status` is typed on small machines.
"""

import contextlib
import errno
import hashlib
import os
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from agent.core.budget import BudgetSettings
from agent.core.device import DeviceSettings
from agent.core.status import Status
from shared.errors import MistakeError

_ANSWER_BYTES = 1 << 20
"""A status with every bus and device; each is about 200 bytes."""
_TIMEOUT_S = 5
_LOOKS, _LOOK_S = 50, 0.2
"""How often and how long to wait for an agent that starts or stops; a stop may take 5 s."""


def find_status(
    data_dir: Path,
    runtime_dir: Path,
    devices: Sequence[DeviceSettings],
    budget: BudgetSettings | None = None,
) -> Status:
    """Return how an agent is, running or not.

    Raises:
        MistakeError: its files cannot be used, or it holds them and does not answer for 10 s.
    """
    path = socket_path(runtime_dir, data_dir)
    for last in (*[False] * _LOOKS, True):
        if answer := ask(path, "status"):
            return msgspec.json.decode(answer, type=Status)
        # A running agent's status needs none of what reading its files does.
        from agent.services.identity import load_enrolment  # noqa: PLC0415
        from agent.services.status import status_at_rest  # noqa: PLC0415

        enrolment, damage = None, {}
        try:
            enrolment = load_enrolment(data_dir)
        except MistakeError as error:
            damage = {"enrolment": str(error)}
        try:
            status = status_at_rest(data_dir, enrolment, devices, budget)
            return msgspec.structs.replace(status, troubles={**damage, **status.troubles})
        except MistakeError:
            # Locked, but nobody answers: it is starting, or taking its leave.
            if last:
                raise
        time.sleep(_LOOK_S)
    raise AssertionError("the last look returns or raises")


def socket_path(runtime_dir: Path, data_dir: Path) -> Path:
    """Return where the agent of `data_dir` listens; several may share a runtime directory."""
    name = hashlib.sha256(os.fsencode(data_dir.absolute())).hexdigest()[:12]
    return runtime_dir / f"agent-{name}.sock"


def ask(path: Path, command: str) -> bytes | None:
    """Return a running agent's answer, None when none answers there. Blocks for seconds at most."""
    with contextlib.suppress(OSError):
        return insist(path, command, wait_s=_TIMEOUT_S)
    return None


def insist(path: Path, command: str, *, wait_s: float) -> bytes | None:
    """Return a running agent's answer, None only when no agent runs there.

    Raises:
        OSError: somebody is there and does not answer: nobody knows what he heard.
    """
    answer = bytearray()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(wait_s)
        try:
            with short_name(path) as name:
                connection.connect(name)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        connection.sendall(command.encode() + b"\n")
        while len(answer) < _ANSWER_BYTES and (data := connection.recv(65_536)):
            answer += data
            if answer.endswith(b"\n"):
                return bytes(answer)
    raise ConnectionResetError(errno.ECONNRESET, "it ended before its answer")


@contextlib.contextmanager
def short_name(path: Path) -> Iterator[str]:
    """Give a name of the path that fits into the 108 bytes of sockaddr_un, however long it is."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
