"""The TCP port of a small broker with one plug behind it.

Owns sessions, passing on, and what faults do to what the plug says. Leaves out bytes (`packets`)
and what the plug is (`plug`). What clients publish reaches each other, and is kept if they ask so.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from firmware_sim.address import Address, bound_address, listen
from firmware_sim.bench import spoilt
from firmware_sim.crew import Crew
from firmware_sim.faults import FaultKind
from firmware_sim.mqtt import packets
from firmware_sim.mqtt.packets import Cutter, Kind, MalformedError, Packet
from firmware_sim.mqtt.plug import Plug
from shared import limits

_READ_BYTES = 4096
_KEPT = 256
_REFUSED, _BAD_USER = 0x80, 4


class _Session:
    """One client."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.filters: list[str] = []
        self.greeted = False

    def tell(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Pass a message on if the client asked for its topic."""
        if any(packets.matches(one, topic) for one in self.filters):
            self.writer.write(packets.published(topic, payload, retained=retained))


class Broker:
    """A broker and its plug; `user` and `password` make it ask who connects."""

    def __init__(
        self, plug: Plug, *, user: str = "", password: str = "", period_s: float = 10.0
    ) -> None:
        self.plug = plug
        self.address = Address("", 0)
        """Where it listens."""
        self._who = (user, password)
        self._period_s = period_s
        self._sessions: list[_Session] = []
        self._kept: dict[str, bytes] = {}
        self._crew = Crew()

    @property
    def failed(self) -> asyncio.Future[None]:
        """Return a future that gets the exception that stops this port, if any."""
        return self._crew.failed

    async def open(self, address: Address) -> asyncio.Server:
        """Start to listen; see `firmware_sim.address.listen` for what can go wrong."""
        server = await listen(self._connected, address)
        self.address = bound_address(server)
        self._crew.start(self._repeat())
        return server

    async def close(self, server: asyncio.Server) -> None:
        """Stop listening and drop every client."""
        server.close()
        await self._crew.dismiss()

    async def _repeat(self) -> None:
        """Let the plug say again how things are, now and then."""
        while True:
            await asyncio.sleep(self._period_s)
            for session in self._sessions:
                self._speak(session, retained=False)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._crew) >= limits.SIM_CONNECTIONS:
            writer.transport.abort()
        else:
            self._crew.start(self._talk(reader, writer), after=writer.close)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cutter, session = Cutter(), _Session(writer)
        self._sessions.append(session)
        try:
            while data := await reader.read(_READ_BYTES):
                for packet in cutter.feed(data):
                    if not await self._serve(packet, session):
                        return
                await writer.drain()
        except MalformedError:
            self.plug.bench.hear_malformed(0)
        except ConnectionError:
            pass
        finally:
            self._sessions.remove(session)

    async def _serve(self, packet: Packet, session: _Session) -> bool:
        """Carry a packet out; return whether the connection stays open."""
        write = session.writer.write
        if session.greeted == (packet.kind is Kind.CONNECT):
            raise MalformedError
        match packet.kind:
            case Kind.CONNECT:
                told = packets.greeting(packet)
                session.greeted = self._who in {("", ""), (told.user, told.password)}
                code = 0 if session.greeted else _BAD_USER
                write(packets.encode(Kind.CONNACK, bytes([0, code])))
                return session.greeted
            case Kind.SUBSCRIBE:
                self._subscribe(packet, session)
            case Kind.UNSUBSCRIBE:
                number, filters = packets.wanted(packet)
                session.filters = [one for one in session.filters if one not in filters]
                write(packets.encode(Kind.UNSUBACK, number.to_bytes(2, "big")))
            case Kind.PUBLISH:
                await self._publish(packet, session)
            case Kind.PINGREQ:
                write(packets.encode(Kind.PINGRESP))
            case Kind.DISCONNECT:
                return False
            case Kind.PUBACK:
                pass
            case _:
                raise MalformedError
        return True

    def _subscribe(self, packet: Packet, session: _Session) -> None:
        number, filters = packets.wanted(packet)
        refused = any(one.kind is FaultKind.EXCEPTION for one in self.plug.bench.faults)
        codes = bytes([_REFUSED if refused else 0]) * len(filters)
        session.writer.write(packets.encode(Kind.SUBACK, number.to_bytes(2, "big") + codes))
        if refused:
            return
        session.filters += filters
        for topic, payload in self._kept.items():
            session.tell(topic, payload, retained=True)
        self._speak(session, retained=True)

    async def _publish(self, packet: Packet, session: _Session) -> None:
        told = packets.publication(packet)
        bench = self.plug.bench
        if told.topic.startswith("cmnd/"):
            verdict = bench.judge()
            bench.note({"mqtt": told.topic[:200], "ok": verdict.kind is None}, verdict)
            await asyncio.sleep(verdict.delay_ms / 1000)
            if verdict.kind is FaultKind.SILENCE:
                return
            if verdict.kind is not FaultKind.EXCEPTION and self.plug.obey(told.topic, told.payload):
                for one in self._sessions:
                    self._speak(one, retained=False)
            if verdict.kind is FaultKind.LOST_REPLY:
                return
        if told.retain and (told.topic in self._kept or len(self._kept) < _KEPT):
            self._kept[told.topic] = told.payload
        for one in self._sessions:
            one.tell(told.topic, told.payload, retained=False)
        if told.number is not None:
            number = told.number.to_bytes(2, "big")
            session.writer.write(packets.encode(Kind.PUBACK, number))

    def _speak(self, session: _Session, *, retained: bool) -> None:
        """Let one client hear what the plug says."""
        verdict = self.plug.bench.judge(asked=False)
        for topic, payload in self.plug.state.items():
            if not any(packets.matches(one, topic) for one in session.filters):
                continue
            said = verdict.noise if verdict.kind is FaultKind.GARBAGE else payload
            whole = packets.published(topic, said, retained=retained)
            cut = verdict.kind in {FaultKind.CUT, FaultKind.SILENCE}
            session.writer.write(spoilt(whole, verdict) if cut else whole)


@asynccontextmanager
async def serve_mqtt(
    plug: Plug,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    user: str = "",
    password: str = "",
    period_s: float = 10.0,
) -> AsyncIterator[Broker]:
    """Serve a broker with a plug behind it; `Broker.address` says where when `port` is 0.

    Raises:
        MistakeError, WorldError: it cannot listen there.
    """
    broker = Broker(plug, user=user, password=password, period_s=period_s)
    server = await broker.open(Address(host, port))
    try:
        yield broker
    finally:
        await broker.close(server)
