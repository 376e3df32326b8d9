"""The agent's own standing in its fleet: another key, other labels, a certificate, leaving.

Stands around the contact: what the agent has to say of itself goes first, over the same connection,
and what a reply asks of it is done around the next contact. Every step can be cut off and is then
simply done again: each is durable here before it is said, and there before it is answered. Leaves
out the files (`agent.services.identity`) and the documents (`shared.trust.words`).
"""

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.core.uplink import Answered, Delivered, Fault, LinkFailed
from agent.services.bundles import Bundles
from agent.services.contact import Contact
from agent.services.control import Command
from agent.services.guard import Guard
from agent.services.identity import (
    NEXT_KEY_NAME,
    Enrolment,
    find_certificate,
    forget_identity,
    is_rekeying,
    load_or_make_signer,
    load_proofs,
    save_certificate,
    save_enrolment,
    turn_key,
)
from agent.services.speaker import Speaker
from shared.clock import Clock, Entropy, MonoMs, WallMs
from shared.errors import MistakeError, WorldError
from shared.ids import fingerprint
from shared.runtime.logs import Events
from shared.trust.envelope import KeySigner
from shared.trust.words import (
    Heard,
    Labels,
    Leave,
    Rekey,
    Support,
    Wish,
)

PUT_OFF_MS: Final = 3_600_000
"""A word that was refused is said again after an hour: the same refusal is not worth more bytes."""
_PUT_OFF_MOST_MS: Final = 86_400_000
"""A support bundle that does not get through waits twice as long each time, up to a day."""
RENEW_MS: Final = 30 * 86_400_000
"""A certificate is renewed when less than this is left of it."""
_PASSING: Final = {Fault.UNREACHABLE, Fault.SILENT, Fault.UNTRUSTED, Fault.BUSY, Fault.ABORTED}
"""Failures of the line, not of the word: the contact would meet the same."""

_log = Events(__name__)


MayBring = Callable[[], Awaitable[bool]]
"""Tells whether the line has bytes for what is nobody's hurry."""


class MemberContact(Contact):
    """Contacts with what the member says before them and does after them."""

    def __init__(self, member: "Member", **parts: Any) -> None:  # noqa: ANN401  # a contact's own
        """Wire it up; `parts` are a contact's own."""
        super().__init__(**parts)
        self._member = member

    async def run(self, **options: Any) -> Answered | LinkFailed:  # noqa: ANN401  # the same
        """Make one contact; every way it can fail is returned."""
        end: Answered | LinkFailed | None = await self._member.before(self._may_bring)
        await self._pay()
        if end is None:
            end = await self._member.after(await super().run(**options))
            await self._pay()
        return end

    async def _may_bring(self) -> bool:
        """Tell whether there are bytes for what nobody has to have today."""
        await self._pay()
        return self.purse.allowance().rule.calls

    async def _pay(self) -> None:
        """Count what words cost since they were counted last."""
        if said := self._member.take_bytes():
            try:
                await self._count(said)
            except WorldError as error:
                # The purse has it: the next count that the disk takes says it as well.
                _log.event("contact_store_failed", level=logging.ERROR, cause=str(error))


class RekeyBegun(msgspec.Struct, frozen=True):
    """What a person is told who asked for another key."""

    old: str
    """Fingerprint of the key in use."""
    new: str
    """Of the one that takes its place at the next contact."""


async def change_key(speaker: Speaker, data_dir: Path, entropy: Entropy) -> LinkFailed | KeySigner:
    """Introduce another key and use it from now on; return it.

    Cut off anywhere, it is done again with the same new key: `agent.key.next` is written before it
    is said, said before it takes the old one's place, and the coordinator takes it twice.

    Raises:
        MistakeError, OSError: a key file cannot be used.
    """
    enrolment = speaker.enrolment
    new = await asyncio.to_thread(load_or_make_signer, data_dir, entropy, NEXT_KEY_NAME)
    word = Rekey(enrolment.root.fleet, enrolment.agent, new.public_key)
    end = await speaker.say(word, speaker.key, new)
    if isinstance(end, LinkFailed):
        return end
    proof, heard = end
    await asyncio.to_thread(turn_key, data_dir, proof)
    speaker.key.reload(data_dir)
    await _keep_certificate(speaker, data_dir, heard)
    _log.event("key_changed", fingerprint=fingerprint(new.public_key))
    return new


class Member:
    """Contacts of an agent, with what it says of itself before them and is asked after them."""

    def __init__(
        self,
        guard: Guard,
        speaker: Speaker,
        data_dir: Path,
        *,
        labels: Mapping[str, str],
        clock: Clock,
        entropy: Entropy,
        present: Callable[[], WallMs | None],
        nudge: Callable[[], None] = lambda: None,
    ) -> None:
        """Take part.

        Args:
            guard: hears what replies ask.
            speaker: says words.
            data_dir: where the identity is kept.
            labels: what the configuration says now.
            clock: for what is put off.
            entropy: for another key.
            present: the time as a verified reply told it.
            nudge: lets the next contact come soon.
        """
        self._guard, self._speaker = guard, speaker
        self._data_dir, self._clock, self._entropy = data_dir, clock, entropy
        self._wanted = speaker.enrolment.wanted_labels(labels)
        self._present, self._nudge = present, nudge
        self._put_off: dict[str, MonoMs] = {}
        self._denied = False
        self._unheard = 0
        """Tries in a row to bring a support bundle of which nothing was heard."""
        self.bundles = Bundles(data_dir, nudge=nudge)
        """Support bundles that wait to be brought."""
        self.trouble = ""
        """Why it meets nobody any more; empty while it does."""

    async def before(self, may_bring: MayBring) -> LinkFailed | None:
        """Say what is due before a contact; return why there can be none, or None.

        `may_bring` is asked before each piece of a support bundle.
        """
        if self.trouble:
            return LinkFailed(fault=Fault.DENIED, detail=self.trouble)
        try:
            return await self._speak(may_bring)
        except (MistakeError, OSError) as error:
            return self._failed(error)

    async def after(self, end: Answered | LinkFailed) -> Answered | LinkFailed:
        """Do what the reply of a contact asks of the agent itself; return how it ended."""
        self._denied = isinstance(end, LinkFailed) and end.fault is Fault.DENIED
        try:
            await self._obey(end)
        except (MistakeError, OSError) as error:
            return self._failed(error)
        return end

    def take_bytes(self) -> Delivered | None:
        """Return what words cost the link since this was asked last."""
        return self._speaker.toll.take()

    @property
    def may_work(self) -> bool:
        """Tell whether jobs may begin: not once it was told to leave."""
        return not self._speaker.enrolment.leaving and not self.trouble

    async def begin_rekey(self) -> RekeyBegun:
        """Change the key at the next contact, which comes soon.

        Raises:
            MistakeError, OSError: a key file cannot be used.
        """
        new = await asyncio.to_thread(
            load_or_make_signer, self._data_dir, self._entropy, NEXT_KEY_NAME
        )
        self._put_off.pop("rekey", None)
        self._nudge()
        return RekeyBegun(fingerprint(self._speaker.key.public_key), fingerprint(new.public_key))

    async def _speak(self, may_bring: MayBring) -> LinkFailed | None:
        """Say what is due; return why the line does not carry it, None when the contact may go."""
        due: list[tuple[str, Callable[[], Awaitable[LinkFailed | None]]]] = []
        if self._denied and load_proofs(self._data_dir):
            due.append(("proof", self._prove))
        if Wish.REKEY in self._guard.wish or is_rekeying(self._data_dir):
            due.append(("rekey", self._rekey))
        if self._labels_due():
            due.append(("labels", self._relabel))
        due.append(("support", partial(self._bring, may_bring)))
        now_ms = self._clock.mono_ms()
        for name, say in due:
            if self._put_off.get(name, now_ms) > now_ms:
                continue
            failed = await say()
            if failed is None:
                continue
            # The line may carry a contact although a piece of a bundle is too much for it.
            if failed.fault in _PASSING and name != "support":
                return failed
            self._put_off[name] = MonoMs(now_ms + self._rest_ms(name))
            _log.event("word_refused", level=logging.WARNING, word=name, detail=failed.detail)
        return None

    def _rest_ms(self, name: str) -> int:
        """Return how long a word rests that was not taken."""
        if name != "support":
            return PUT_OFF_MS
        self._unheard += 1
        return min(PUT_OFF_MS << min(self._unheard - 1, 5), _PUT_OFF_MOST_MS)

    async def _obey(self, end: Answered | LinkFailed) -> None:
        enrolment = self._speaker.enrolment
        if isinstance(end, Answered) and Wish.LEAVE in self._guard.wish and not enrolment.leaving:
            await self._note(dataclasses.replace(enrolment, leaving=True))
            _log.event("told_to_leave", level=logging.WARNING, agent=enrolment.agent)
        if self._speaker.enrolment.leaving:
            delivered = isinstance(end, Answered) and not end.left
            if delivered or self._denied:
                await self._leave()

    async def _leave(self) -> None:
        """Say that it left, and forget who it was once that is heard."""
        enrolment = self._speaker.enrolment
        word = Leave(enrolment.root.fleet, enrolment.agent, self._guard.reply_hash)
        end = await self._speaker.say(word)
        if isinstance(end, LinkFailed):
            _log.event("leaving_put_off", level=logging.WARNING, detail=end.detail)
            return
        await asyncio.to_thread(forget_identity, self._data_dir, enrolment.agent)
        self.trouble = f"this box was {enrolment.agent} until it was decommissioned"
        _log.event("left", level=logging.WARNING, agent=enrolment.agent)

    async def _rekey(self) -> LinkFailed | None:
        end = await change_key(self._speaker, self._data_dir, self._entropy)
        if isinstance(end, LinkFailed):
            return end
        # The wish stands until the coordinator has seen a report by the new key.
        self._guard.wish &= ~Wish.REKEY
        return None

    async def _bring(self, may_bring: MayBring) -> LinkFailed | None:
        """Say the pieces of the oldest support bundle that nobody has heard yet, while it may."""
        found = await asyncio.to_thread(self.bundles.next)
        if found is None:
            return None
        bundle, first = found
        enrolment = self._speaker.enrolment
        for number in range(first, len(bundle.pieces)):
            if not await may_bring():
                return None
            word = Support(
                *(enrolment.root.fleet, enrolment.agent, bundle.name, bundle.sha256, bundle.size),
                *(len(bundle.pieces), number, bundle.pieces[number]),
            )
            end = await self._speaker.say(word)
            if isinstance(end, LinkFailed):
                return end
            self._unheard = 0
            self.bundles.heard(bundle, number + 1)
        _log.event("support_bundle_brought", bundle=bundle.name, bytes=bundle.size)
        return None

    async def _prove(self) -> LinkFailed | None:
        """Introduce the key in use once more: the coordinator may have been put back."""
        proofs = load_proofs(self._data_dir)
        self._put_off["proof"] = MonoMs(self._clock.mono_ms() + PUT_OFF_MS)
        # As far back as it takes until one begins with a key that is known there, then onwards.
        first = len(proofs)
        end: Heard | LinkFailed = LinkFailed(fault=Fault.DENIED, detail="no key is known there")
        while first > 0 and isinstance(end, LinkFailed):
            first -= 1
            end = await self._speaker.send(proofs[first])
            if isinstance(end, LinkFailed) and end.fault in _PASSING:
                return end
        for proof in proofs[first + 1 :]:
            if isinstance(end, LinkFailed):
                break
            end = await self._speaker.send(proof)
        return end if isinstance(end, LinkFailed) else None

    def _labels_due(self) -> bool:
        told = dict(self._speaker.enrolment.labels)
        return self._wanted != told or self._certificate_due()

    def _certificate_due(self) -> bool:
        """Tell whether a certificate ends soon, or one is asked for that is not there."""
        certificate = find_certificate(self._data_dir)
        if certificate is None:
            return self._denied
        present = self._present()
        return self._denied or (present is not None and _ends_ms(certificate) - present < RENEW_MS)

    async def _relabel(self) -> LinkFailed | None:
        enrolment = self._speaker.enrolment
        number = max(enrolment.labels_number + 1, self._present() or 0)
        own = {key: value for key, value in self._wanted.items() if key != "site"}
        word = Labels(enrolment.root.fleet, enrolment.agent, number, own)
        if self._denied:
            self._put_off["labels"] = MonoMs(self._clock.mono_ms() + PUT_OFF_MS)
        end = await self._speaker.say(word)
        if isinstance(end, LinkFailed):
            return end
        await self._note(dataclasses.replace(enrolment, labels=self._wanted, labels_number=number))
        await _keep_certificate(self._speaker, self._data_dir, end[1])
        _log.event("labels_told", number=number)
        return None

    def _failed(self, error: Exception) -> LinkFailed:
        _log.event("identity_failed", level=logging.ERROR, cause=str(error))
        return LinkFailed(fault=Fault.STORE, detail=str(error))

    async def _note(self, enrolment: Enrolment) -> None:
        await asyncio.to_thread(save_enrolment, self._data_dir, enrolment)
        self._speaker = dataclasses.replace(self._speaker, enrolment=enrolment)


def commands_of(member: Member | None) -> Mapping[str, Command]:
    """Return what a person may ask a running member for, by word."""
    return {} if member is None else {"rekey": member.begin_rekey}


async def _keep_certificate(speaker: Speaker, data_dir: Path, heard: Heard) -> None:
    if heard.certificate:
        path = await asyncio.to_thread(save_certificate, data_dir, heard.certificate)
        speaker.door.present(path)


def _ends_ms(certificate: Path) -> int:
    """Return when a certificate ends; 0 for one that cannot be read."""
    # Only who has a certificate pays for reading one.
    from cryptography import x509  # noqa: PLC0415

    try:
        text = certificate.read_bytes()
        begin = text.index(b"-----BEGIN CERTIFICATE-----")
        ends = x509.load_pem_x509_certificate(text[begin:]).not_valid_after_utc
    except (OSError, ValueError):
        return 0
    return int(ends.timestamp() * 1000)
