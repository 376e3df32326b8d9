"""A tiny fleet with real keys, for tests of documents and of contacts."""

from dataclasses import dataclass, field

from shared.clock import WallMs
from shared.ids import AgentId, key_id
from shared.trust.admission import Held
from shared.trust.documents import BUNDLE_TYP, ROOT_TYP, Bundle, Role, Root
from shared.trust.envelope import KeySigner, seal
from shared.wire.codec import pack
from shared.wire.messages import Grant

FLEET = bytes(range(16))
NOW = 1_795_000_000_000
DAY = 86_400_000
NAME = AgentId("north-1")


def signer(name: str) -> KeySigner:
    """Return the key that always belongs to `name`."""
    return KeySigner(name.encode().ljust(32, b"."))


def make_root(*, version: int = 1, epoch: int = 1, director: str = "director") -> Root:
    """Return a root whose root and director roles have one key each."""
    owner, online = signer("root"), signer(director)
    return Root(
        version=version,
        fleet=FLEET,
        epoch=epoch,
        issued_ms=NOW,
        expires_ms=NOW + 365 * DAY,
        keys=[owner.public_key, online.public_key],
        roles={
            "root": Role(1, [key_id(owner.public_key)]),
            "director": Role(1, [key_id(online.public_key)]),
        },
    )


def seal_root(root: Root, *names: str) -> bytes:
    """Return the envelope of `root` signed by each named key."""
    return seal(ROOT_TYP, pack(root), [signer(name) for name in names or ("root",)])


@dataclass
class World:
    """One coordinator's keys and one agent's."""

    root: Root = field(default_factory=make_root)
    agent: KeySigner = field(default_factory=lambda: signer("agent"))
    name: AgentId = NAME

    def held(self, *, bundle_seq: int = 0, floor_ms: int = NOW) -> Held:
        """Return what the agent judges by."""
        return Held(
            agent=self.name,
            agent_key=key_id(self.agent.public_key),
            root=self.root,
            bundle_seq=bundle_seq,
            floor_ms=WallMs(floor_ms),
        )

    def bundle(self, *grants: Grant, **changes: object) -> Bundle:
        """Return a good bundle, or one with some fields changed."""
        fields: dict[str, object] = {
            "fleet": FLEET,
            "agent": self.name,
            "agent_key": key_id(self.agent.public_key),
            "epoch": self.root.epoch,
            "root_version": self.root.version,
            "seq": 1,
            "issued_ms": NOW,
            "not_before_ms": NOW,
            "expires_ms": NOW + DAY,
            "grants": list(grants),
        }
        return Bundle(**(fields | changes))  # type: ignore[arg-type]  # a table of overrides

    def seal_bundle(self, bundle: Bundle, by: str = "director") -> bytes:
        """Return the envelope of `bundle` signed by the named key."""
        return seal(BUNDLE_TYP, pack(bundle), [signer(by)])
