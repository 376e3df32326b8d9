"""An SNMPv2c agent: a datagram in, a datagram or nothing out (RFC 3416, RFC 1901, RFC 3417).

Owns messages, communities, and the order in which a request is judged. Leaves out the objects
(`ups`) and the socket (`ports`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from firmware_sim.bench import Bench, spoilt
from firmware_sim.faults import FaultKind, Verdict
from firmware_sim.snmp import ber
from firmware_sim.snmp.ber import MalformedError, Node, Oid
from firmware_sim.snmp.ups import Ups

_V2C = 1
_GET, _NEXT, _RESPONSE, _SET, _BULK = 0xA0, 0xA1, 0xA2, 0xA3, 0xA5
_TOO_BIG, _GEN_ERR, _NO_ACCESS, _WRONG_TYPE, _WRONG_VALUE, _NOT_WRITABLE = 1, 5, 6, 7, 10, 17
_BINDS = 64
_NULL = ber.value(ber.NULL)
_KINDS = {_GET: "get", _NEXT: "next", _SET: "set", _BULK: "bulk"}


@dataclass(frozen=True, slots=True)
class _Request:
    kind: int
    community: bytes
    number: int
    first: int
    """Of a bulk request: how many objects are not repeated; else 0."""
    second: int
    """Of a bulk request: how often the others are."""
    binds: Sequence[tuple[Oid, Node]]


@dataclass(frozen=True, slots=True)
class _Outcome:
    binds: Sequence[tuple[Oid, bytes]]
    status: int = 0
    index: int = 0


class Agent:
    """One agent with one device's objects; `size` is the largest message it can hold."""

    def __init__(
        self, bench: Bench, *, read: str = "public", write: str = "public", size: int = 1472
    ) -> None:
        self.bench = bench
        self._objects = Ups(bench)
        self._read, self._write = read.encode(), write.encode()
        self._size = size

    def answer(self, datagram: bytes) -> tuple[bytes, Verdict]:
        """Carry a request out and note it; empty: nothing is said."""
        try:
            asked = _request(datagram)
        except MalformedError:
            self.bench.hear_malformed(len(datagram))
            return b"", Verdict()
        if asked.community not in {self._read, self._write}:
            # RFC 3416 knows no answer to a stranger.
            self.bench.hear_malformed(len(datagram))
            return b"", Verdict()
        verdict = self.bench.judge()
        entry: dict[str, object] = {
            "snmp": _KINDS[asked.kind],
            "oids": [".".join(map(str, oid)) for oid, _ in asked.binds][:20],
        }
        if verdict.kind is FaultKind.SILENCE:
            self.bench.note(entry | {"ok": False}, verdict)
            return b"", verdict
        if verdict.kind is FaultKind.EXCEPTION:
            outcome = _refusal(asked, _GEN_ERR, 1)
        else:
            outcome = self._serve(asked)
        self.bench.note(entry | {"status": outcome.status, "ok": not outcome.status}, verdict)
        return spoilt(self._message(asked, outcome), verdict), verdict

    def _message(self, asked: _Request, outcome: _Outcome) -> bytes:
        out = _encode(asked, outcome)
        if len(out) <= self._size:
            return out
        if asked.kind == _BULK:
            # As many as fit (RFC 3416, 4.2.3).
            fewer = outcome.binds[: len(outcome.binds) * self._size // len(out)]
            return self._message(asked, replace(outcome, binds=fewer))
        return _encode(asked, _Outcome((), _TOO_BIG))

    def _serve(self, asked: _Request) -> _Outcome:
        match asked.kind:
            case 0xA0:
                return _Outcome([(oid, self._value(oid)) for oid, _ in asked.binds])
            case 0xA1:
                return _Outcome([self._following(oid) for oid, _ in asked.binds])
            case 0xA5:
                return self._bulk(asked)
            case _:
                return self._change(asked)

    def _value(self, oid: Oid) -> bytes:
        entry = self._objects.find(oid)
        if entry is not None:
            return entry.read()
        known = self._objects.has_object(oid)
        return ber.value(ber.NO_INSTANCE if known else ber.NO_OBJECT)

    def _following(self, oid: Oid) -> tuple[Oid, bytes]:
        after = self._objects.after(oid)
        return (oid, ber.value(ber.END_OF_VIEW)) if after is None else (after, self._value(after))

    def _bulk(self, asked: _Request) -> _Outcome:
        once = max(0, min(asked.first, len(asked.binds)))
        found = [self._following(oid) for oid, _ in asked.binds[:once]]
        row = [oid for oid, _ in asked.binds[once:]]
        for _ in range(max(0, min(asked.second, _BINDS)) if row else 0):
            told = [self._following(oid) for oid in row]
            found += told
            row = [oid for oid, _ in told]
        return _Outcome(found)

    def _change(self, asked: _Request) -> _Outcome:
        """Set all or nothing (RFC 3416, 4.2.5)."""
        writes: list[tuple[Callable[[int], bool], int]] = []
        for index, (oid, node) in enumerate(asked.binds, start=1):
            entry = self._objects.find(oid)
            if asked.community != self._write:
                return _refusal(asked, _NO_ACCESS, index)
            if entry is None or entry.write is None:
                return _refusal(asked, _NOT_WRITABLE, index)
            if node.tag != entry.tag:
                return _refusal(asked, _WRONG_TYPE, index)
            writes.append((entry.write, node.number))
        for index, (write, told) in enumerate(writes, start=1):
            if not write(told):
                return _refusal(asked, _WRONG_VALUE, index)
        return _Outcome([(oid, self._value(oid)) for oid, _ in asked.binds])


def _refusal(asked: _Request, status: int, index: int) -> _Outcome:
    return _Outcome([(oid, _NULL) for oid, _ in asked.binds], status, index)


def _request(datagram: bytes) -> _Request:
    message, rest = ber.parse(datagram)
    parts = message.children if message.tag == ber.SEQUENCE and not rest else []
    if len(parts) != 3 or parts[0].number != _V2C or parts[2].tag not in _KINDS:
        raise MalformedError
    pdu = parts[2].children
    if len(pdu) != 4 or pdu[3].tag != ber.SEQUENCE:
        raise MalformedError
    binds = [node.children for node in pdu[3].children]
    if len(binds) > _BINDS or any(len(bind) != 2 or bind[0].tag != ber.OBJECT for bind in binds):
        raise MalformedError
    return _Request(
        kind=parts[2].tag,
        community=parts[1].body,
        number=pdu[0].number,
        first=pdu[1].number,
        second=pdu[2].number,
        binds=[(bind[0].oid, bind[1]) for bind in binds],
    )


def _encode(asked: _Request, outcome: _Outcome) -> bytes:
    binds = b"".join(ber.value(ber.SEQUENCE, ber.name(oid) + told) for oid, told in outcome.binds)
    numbers = b"".join(map(ber.number, (asked.number, outcome.status, outcome.index)))
    pdu = ber.value(_RESPONSE, numbers + ber.value(ber.SEQUENCE, binds))
    head = ber.number(_V2C) + ber.value(ber.OCTETS, asked.community)
    return ber.value(ber.SEQUENCE, head + pdu)
