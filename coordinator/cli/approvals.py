"""`outstation approvals`: read what waits for people, sign it with your own key, or deny it.

What is signed is made here, from bytes whose hashes are computed here: a coordinator that shows
one job and means another gets no signature for the other one. The key stays on this machine.
"""

import base64
import os
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cyclopts import App

from coordinator.cli.client import CallError, Client, Exit, segment
from coordinator.cli.keyfile import load_key
from coordinator.cli.options import DEFAULT, MOST, Common, ask_first, parse_span_s, with_client
from coordinator.cli.show import Screen, ago
from coordinator.cli.spell import folded, spell
from coordinator.contract.approvals import ApprovalForm, ApprovalView, DenyBody, SignBody
from coordinator.contract.common import to_time, to_wall_ms
from shared import limits
from shared.errors import MistakeError, RefusedError
from shared.ids import AgentId, fingerprint
from shared.model.job import JobSpec
from shared.trust.approval import APPROVAL_TYP, AgentsTarget, Approval, SelectorTarget
from shared.trust.envelope import KeySigner, seal
from shared.trust.targets import list_digest
from shared.wire.codec import pack, unpack
from shared.words import some

app = App(name="approvals", help="Jobs that people have to agree to: read, sign, deny.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an approver wants to sign, besides the job itself."""

    expires_s: int
    max_executions: int
    by_selector: bool
    yes: bool
    """He was asked before."""


@app.command(name="list")
def list_(*, every: bool = False, most: int = MOST, common: Common = DEFAULT) -> None:
    """List jobs that wait for people, newest first.

    Parameters
    ----------
    every
        Also those that were released, denied, or whose time is over.
    most
        At most so many.
    """
    with_client(common, lambda client, screen: _list(client, screen, every=every, most=most))


@app.command(name="show")
def show(job: str, /, *, common: Common = DEFAULT) -> None:
    """Show everything that an approver of a job signs, and who did already."""
    with_client(common, lambda client, screen: _show(client, screen, job))


@app.command(name="sign")
def sign(
    job: str,
    /,
    *,
    key: Path | None = None,
    expires: str = "7d",
    max_executions: int = 1,
    by_selector: bool = False,
    yes: bool = False,
    common: Common = DEFAULT,
) -> Exit:
    """Show exactly what you sign, then sign it here with your own key.

    Parameters
    ----------
    key
        The file of your key; OUTSTATION_KEY names it otherwise.
    expires
        How long your approval lasts: 30m, 12h, 7d.
    max_executions
        How often each agent may run this very job.
    by_selector
        Bind it to the job's selector instead of the list of agents: also those that match later.
    yes
        Do not ask.
    """
    wish = Wish(
        expires_s=parse_span_s(expires, where="--expires"),
        max_executions=max_executions,
        by_selector=by_selector,
        yes=yes,
    )
    signer = load_key(_key_file(key))
    return with_client(common, lambda client, screen: _sign(client, screen, job, wish, signer))


@app.command(name="deny")
def deny(job: str, /, *, reason: str, common: Common = DEFAULT) -> None:
    """Let a job never run, whoever agreed to it before.

    Parameters
    ----------
    reason
        Why; whoever asked for it reads this.
    """
    with_client(common, lambda client, screen: _deny(client, screen, job, reason))


def _list(client: Client, screen: Screen, *, every: bool, most: int) -> None:
    query = {"state": "all" if every else "pending"}
    found = list(client.pages("/v1/approvals", ApprovalView, query, most=most))
    if screen.as_json:
        screen.json(found)
        return
    if not found:
        screen.text("nothing waits for anybody")
        return
    screen.table(
        ("JOB", "NAME", "CLASS", "STATE", "ASKED BY", "AGREED", "AGENTS", "CREATED"),
        [
            (
                *(one.job, one.name, one.job_class, one.state, one.author),
                *(agreed(one.needed, one.people), one.targets, ago(one.created_at)),
            )
            for one in found
        ],
    )


def _show(client: Client, screen: Screen, job: str) -> None:
    form = _form(client, job)
    if screen.as_json:
        screen.json(form)
        return
    _print(screen, form, checked_spec(form), [])


def _sign(client: Client, screen: Screen, job: str, wish: Wish, signer: KeySigner) -> Exit:
    form = _form(client, job)
    spec = checked_spec(form)
    approval = approval_of(form, wish, now_ms=time.time_ns() // 1_000_000)
    if not screen.as_json:
        until = to_time(approval.not_after_ms)
        bound = f"agents that match {form.selector}" if wish.by_selector else "these agents only"
        _print(
            screen,
            form,
            spec,
            [
                ("YOU SIGN FOR", bound),
                ("until", f"{until:%Y-%m-%d %H:%M} UTC"),
                ("at most", f"{some(approval.max_executions, 'execution')} on each agent"),
                ("with the key", fingerprint(signer.public_key)),
            ],
        )
    if not ask_first("Sign this?", yes=wish.yes):
        screen.text("nothing was signed")
        return Exit.FAILED
    # Whoever reads for minutes finds the line closed: a server keeps no idle one that long.
    client.close()
    envelope = seal(APPROVAL_TYP, pack(approval), [signer])
    body = SignBody(base64.b64encode(envelope).decode())
    after = client.post(f"/v1/approvals/{segment(form.job)}/sign", body, ApprovalForm)
    if screen.as_json:
        screen.json(after)
    elif after.state == "PENDING_APPROVAL":
        screen.text(f"signed: {agreed(after.needed, after.people)}")
    else:
        screen.text(f"signed: {agreed(after.needed, after.people)}; the job goes out")
    return Exit.OK


def _deny(client: Client, screen: Screen, job: str, reason: str) -> None:
    after = client.post(f"/v1/approvals/{segment(job)}/deny", DenyBody(reason), ApprovalForm)
    if screen.as_json:
        screen.json(after)
    else:
        screen.text(f"job {after.job} is denied and never runs")


def approval_of(form: ApprovalForm, wish: Wish, *, now_ms: int) -> Approval:
    """Return what is signed.

    Raises:
        MistakeError: the job was not chosen by a selector, or the number is none.
    """
    if wish.by_selector and not form.selector:
        raise MistakeError(
            "the job names its agents one by one",
            where="--by-selector",
            mend="leave it out: the list is signed",
        )
    if not 1 <= wish.max_executions <= limits.APPROVED_EXECUTIONS:
        raise MistakeError(
            f"{wish.max_executions} is not 1 to {limits.APPROVED_EXECUTIONS}",
            where="--max-executions",
        )
    agents = [AgentId(agent) for agent in form.agents]
    return Approval(
        fleet=bytes.fromhex(form.fleet),
        job=sha256(form.spec_bytes()).digest(),
        job_class=form.job_class,
        author=form.author,
        target=SelectorTarget(form.selector)
        if wish.by_selector
        else AgentsTarget(list_digest(agents), len(agents)),
        issued_ms=now_ms,
        not_after_ms=min(now_ms + wish.expires_s * 1000, to_wall_ms(form.not_after)),
        max_executions=wish.max_executions,
    )


def checked_spec(form: ApprovalForm) -> JobSpec:
    """Return the job that the form's bytes stand for, once all that it says fits together.

    Raises:
        CallError: the coordinator shows something else than what it asks to be signed.
    """
    packed, agents = form.spec_bytes(), [AgentId(agent) for agent in form.agents]
    try:
        spec = unpack(packed, JobSpec, bound=limits.SPEC_BYTES)
    except RefusedError as error:
        raise CallError(f"the job cannot be read here ({error})", Exit.FAILED) from None
    listed = bool(agents) and agents == sorted(set(agents))
    if sha256(packed).hexdigest() != form.digest or not listed:
        raise CallError("the coordinator contradicts itself: do not sign", Exit.FAILED)
    if list_digest(agents).hex() != form.agents_digest or spec.name != form.name:
        raise CallError("the coordinator contradicts itself: do not sign", Exit.FAILED)
    return spec


def agreed(needed: int, people: list[str]) -> str:
    """Return how many of how many agreed, and who.

    >>> agreed(3, ["anna", "ben"])
    '2 of 3, by anna and ben'
    """
    by = (
        " and ".join(filter(None, (", ".join(people[:-1]), people[-1]))) if people else "nobody yet"
    )
    return f"{len(people)} of {needed}, by {by}"


def _form(client: Client, job: str) -> ApprovalForm:
    return client.get(f"/v1/approvals/{segment(job)}", ApprovalForm)


def _print(
    screen: Screen, form: ApprovalForm, spec: JobSpec, signed: list[tuple[str, object]]
) -> None:
    facts: list[tuple[str, object]] = [
        ("job", form.job),
        ("state", form.state),
        ("class", form.job_class),
        ("asked by", form.author),
        ("agreed", agreed(form.needed, form.people)),
        ("may approve", ", ".join(form.approvers) or "nobody besides its author"),
        ("may begin until", f"{form.not_after:%Y-%m-%d %H:%M} UTC"),
        ("digest", form.digest),
        ("agents", f"{len(form.agents)}: {', '.join(form.agents)}"),
        ("chosen by", form.selector or "their names"),
    ]
    if form.earlier:
        facts.append(("released before", f"{form.earlier} times: allow {form.earlier + 1}"))
    if form.denied_by:
        facts.append(("denied", f"by {form.denied_by}: {form.denied_reason}"))
    screen.facts(facts)
    screen.text()
    for line in spell(spec):
        for part in folded(line, screen.width):
            screen.text(part)
    if spec.is_standing:
        screen.text("It is a standing job: one execution runs again and again.")
    if signed:
        screen.text()
        screen.facts(signed)


def _key_file(key: Path | None) -> Path:
    if key is not None:
        return key
    named = os.environ.get("OUTSTATION_KEY")
    if not named:
        raise MistakeError(
            "no key is named",
            where="--key",
            mend="pass --key FILE or set OUTSTATION_KEY; outstation keys create makes one",
        )
    return Path(named)
