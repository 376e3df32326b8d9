"""The drivers' decoders under hostile bytes: HTTP, JSON, lines of text, SDI-12.

However bytes are cut, the same comes out, and nothing escapes but a refusal.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import TypeVar

from agent.core.ports import FrameDecoder
from agent.drivers import plain
from agent.drivers.http_json.auth import challenge_of, digest
from agent.drivers.http_json.codec import HttpDecoder
from agent.drivers.http_json.document import complaint, count_at, read_document
from agent.drivers.http_json.plan import address
from agent.drivers.line.codec import Asked, Heard, Refusal
from agent.drivers.line.plan import dialect_of
from agent.drivers.line.sdi12 import Identify, Measure, crc_text
from firmware_sim.http_json.messages import Decoder as ServerDecoder
from firmware_sim.http_json.messages import Request, Response
from firmware_sim.line.gauge import frame
from firmware_sim.line.weather import sentence
from shared import limits
from shared.errors import Reason, RefusedError
from shared.model.http_address import HttpRequest
from shared.model.profile import Profile
from tests.driver_rigs import shipped
from tests.fuzz.cutting import pieces

T = TypeVar("T")
_known = cache(shipped)


def _fed(make: Callable[[], FrameDecoder[object]], data: bytes) -> object:
    """Feed a decoder as a whole, then in pieces; return what came of the whole."""
    whole, cut = make().feed(data), make()
    _first(cut, data)
    return whole


def _first(decoder: FrameDecoder[T], data: bytes) -> T | None:
    """Return what comes of the first pieces that anything comes of."""
    answers = (decoder.feed(piece) for piece in pieces(data))
    return next((answer for answer in answers if answer is not None), None)


def http(data: bytes) -> None:
    """One answer, and what its fields and its JSON say."""
    decoder = HttpDecoder(repeatable=True)
    answer = decoder.feed(data)
    first = _first(HttpDecoder(repeatable=True), data)
    if answer is None:
        raise RefusedError(Reason.DEVICE_BAD_FRAME, "not whole")
    assert len(answer.body) <= limits.HTTP_BODY_BYTES
    assert first is None or first == answer, "it depends on how it was cut"
    challenge = challenge_of(answer.texts("www-authenticate"))
    if challenge is not None:
        text = digest(challenge, "a:b", method="GET", target="/", count=1, client_nonce="c")
        assert text.isprintable()
        assert text.isascii()
    document(answer.body)


def document(data: bytes) -> None:
    """A document, asked for every point of a relay."""
    found = read_document(data)
    profile = _known("shelly-relay")
    for point in profile.points:
        _, raw = count_at(found, address(point))
        plain.reading(point, raw)
    for request in profile.sections.values():
        assert isinstance(request, HttpRequest)
        assert len(complaint(found, request)) <= 100


def served(data: bytes) -> None:
    """What a simulated relay hears."""
    heard = list(ServerDecoder().feed(data))
    if not any(isinstance(one, Request) for one in heard):
        raise RefusedError(Reason.BAD_SHAPE, "no request")


def lines(data: bytes) -> None:
    """The answer of a gauge, and the sentences of a weather station."""
    gauge, weather = dialect_of(_known("tank-gauge")), dialect_of(_known("nmea-weather"))
    heard = Heard(weather, {"MWV", "XDR"}, unit=0)
    heard.feed(data)
    assert heard.found.keys() <= {"MWV", "XDR"}
    read = gauge.requests[0]
    answer = _fed(lambda: Asked(gauge, read, address=1), data)
    if answer is None and not heard.found:
        raise RefusedError(Reason.DEVICE_BAD_FRAME, "nobody's")
    fields = answer if isinstance(answer, list) else []
    assert answer is None or isinstance(answer, Refusal) or len(fields) <= limits.LINE_FIELDS
    _read(_known("tank-gauge"), fields)


def sdi12(data: bytes) -> None:
    """A sensor's answers: to a measurement with and without checksum, and what it is."""
    identity = _fed(lambda: Identify(0), data)
    values: list[list[str]] = []
    for source, crc in (("M", False), ("MC", True), ("R0", False)):
        measure = Measure(0, source, wait_ms=10_000, crc=crc)
        try:
            found = measure.feed(data)
        except RefusedError:
            continue
        assert measure.next_wait_ms <= 10_500
        if found is not None:
            assert len(found) <= limits.SDI12_VALUES
            values.append(found)
            _read(_known("soil-probe"), found)
    if identity is None and not values:
        raise RefusedError(Reason.DEVICE_BAD_FRAME, "no answer")


def _read(profile: Profile, fields: Sequence[str]) -> None:
    for point, text in zip(profile.points, fields, strict=False):
        plain.reading(point, point.at.form.read(text))  # type: ignore[union-attr] # lines only


# --- what they accept -----------------------------------------------------------------------------
_STATUS = {"output": True, "apower": 12.5, "voltage": 230.1, "aenergy": {"total": 7}}


def answers() -> Sequence[bytes]:
    """With a length, in chunks, with a challenge."""
    wanted = 'Digest qop="auth", realm="r", nonce="n", algorithm=SHA-256'
    return [
        Response(200, _STATUS).encode(),
        Response(200, _STATUS).encode(chunked=True, keeps=False),
        Response(401, {}, {"WWW-Authenticate": wanted}).encode(),
    ]


def documents() -> Sequence[bytes]:
    """A relay's status, and an error in a frame."""
    return [Response(200, _STATUS).encode().partition(b"\r\n\r\n")[2], b'{"error":{"message":"x"}}']


def requests() -> Sequence[bytes]:
    """Two ways to switch."""
    return [
        b"GET /rpc/Switch.Set?id=0&on=true HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /rpc HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
    ]


def talk() -> Sequence[bytes]:
    """An answer, a refusal, sentences."""
    spoken = sentence("WIMWV,225,R,4.5,M,A") + sentence("WIXDR,P,1.0130,B,Barometer")
    # A gauge's line ends where a sentence's begins; each passes as noise for the other.
    return [frame(b">01+1840.0,+12.0,OK"), frame(b"?01"), spoken.replace(b"\r\n", b"\n")]


def sensor() -> Sequence[bytes]:
    """Data at once, with and without a checksum; what it is."""
    values = "0+0.214+13.2-0.31"
    return [
        f"00003\r\n{values}\r\n".encode(),
        f"00003\r\n{values}{crc_text(values.encode())}\r\n".encode(),
        b"014OutstatiSIM-SO1.0SN001\r\n",
    ]
