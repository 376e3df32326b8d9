"""A secret of a port: one line of text in a file that the agent alone may read.

Owns reading it and the sentences when it cannot be used. Leaves out what it means (the buses).
"""

import os
import stat
from pathlib import Path

from agent.buses.url import PortUrl
from shared import limits


def read_line(path: Path, url: PortUrl) -> str:
    """Return what the secret's file holds, without the end of its line.

    Raises:
        MistakeError: it cannot be read, others can read it too, or it is no line of text.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(limits.HTTP_SECRET_BYTES + 1)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise url.mistake(f"the secret {path} cannot be read ({why})") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        mend = f"chmod 600 {path}, and change the password: others may have read it"
        raise url.mistake(f"others than the agent may read the secret {path}", mend)
    try:
        text = data.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        text = ""
    if not text or not text.isprintable() or len(data) > limits.HTTP_SECRET_BYTES:
        raise url.mistake(f"{path} holds no secret in one line of text")
    return text
