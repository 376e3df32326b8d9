"""What anybody on a site's LAN may send to a gateway that shares files."""

from agent.core.artifacts import Span
from agent.services.neighbourhood import PATH, SCHEME
from agent.services.sharing import Ask, read_ask
from shared import limits
from shared.errors import Reason, RefusedError


def ask(data: bytes) -> None:
    """Read the head of a request, as it is cut from the stream: bounded, and not judged yet."""
    if len(data) > limits.SHARE_REQUEST_BYTES:
        raise RefusedError(Reason.BAD_SHAPE, "the stream's reader ends it")
    read = read_ask(data)
    assert read_ask(_asked(read)) == read, "what was read says it all"


def asks() -> list[bytes]:
    """Return a request for bytes and one for how far a file is."""
    name, nonce, proof = "0" * 32, bytes(16), bytes(32)
    return [_asked(Ask(name, nonce, proof, span)) for span in (None, Span(0, 1000), Span(7, 8))]


def _asked(ask: Ask) -> bytes:
    span = "" if ask.span is None else f"Range: {ask.wish}\r\n"
    proof = f"Authorization: {SCHEME} {ask.nonce.hex()} {ask.proof.hex()}\r\n"
    return f"GET {PATH}{ask.name} HTTP/1.1\r\nHost: a\r\n{proof}{span}\r\n".encode("ascii")
