"""Agents change their keys and labels and leave: real processes, killed at the worst moments."""

import json
import re
from pathlib import Path
from typing import Any

from agent.services.identity import (
    ENROLMENT_NAME,
    KEY_NAME,
    LEFT_NAME,
    NEXT_KEY_NAME,
    REKEY_NAME,
    load_enrolment,
    load_signer,
)
from firmware_sim.demo import processes
from shared.ids import fingerprint
from tests.system import warm
from tests.system.fleet import Fleet, set_pumps
from tests.system.fleet_checks import check_account, check_sentence, ends, settle
from tests.system.fleet_parts import ASK_S, TCP_PUMP, Gateway, until

OK, FAILED, MISTAKE, DENIED = 0, 1, 2, 4


async def steer(fleet: Fleet, site: Gateway, verb: str) -> None:
    agent = (await fleet.agent_view(site))["id"]
    outcome = await fleet.outstation("agents", verb, agent)
    assert outcome.status == OK, outcome


async def seen(fleet: Fleet, site: Gateway, what: str, **members: Any) -> dict[str, Any]:
    """Wait until the coordinator sees an agent so."""

    async def so() -> dict[str, Any] | None:
        site.check()
        view = await fleet.agent_view(site)
        return view if all(view[name] == value for name, value in members.items()) else None

    return await until(what, so, look_s=ASK_S)


def key_of(site: Gateway) -> str:
    return fingerprint(load_signer(site.data).public_key)


async def test_an_admin_gives_an_agent_another_key_while_it_works(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    site = await fleet.add_gateway("site", TCP_PUMP)
    await fleet.delivered(site)
    before = key_of(site)
    await steer(fleet, site, "rekey")
    view = await seen(fleet, site, "another key", rekey_asked=False)
    assert view["fingerprint"] == key_of(site) != before
    assert not (site.data / NEXT_KEY_NAME).exists()
    await fleet.submit(set_pumps(4000, selector="site=site"))
    await until("the write", _written(site, 4000), look_s=ASK_S)
    await settle(fleet, site)
    await check_account(fleet, site)


def _written(site: Gateway, value: int) -> Any:
    async def done() -> bool | None:
        return True if value in site.record("pump-2").setpoints() else None

    return done


async def test_a_key_is_changed_at_the_box_whether_the_agent_runs_or_not(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    site = await fleet.add_gateway("site", TCP_PUMP)
    await fleet.delivered(site)
    first = key_of(site)
    outcome = await ends(site.command("rekey", "--config", str(site.config)))
    assert (outcome.status, outcome.err) == (OK, "")
    await until("another key", _other_key(site, first))
    second = key_of(site)
    assert second in outcome.out
    await seen(fleet, site, "its use", fingerprint=second)
    await site.stop()
    outcome = await ends(site.command("rekey", "--config", str(site.config)))
    assert (outcome.status, outcome.err) == (OK, "")
    third = key_of(site)
    assert third in outcome.out
    assert (await fleet.agent_view(site))["next_fingerprint"] == third
    await site.start()
    await seen(fleet, site, "its use", fingerprint=third)
    await settle(fleet, site)
    await check_account(fleet, site)


def _other_key(site: Gateway, before: str) -> Any:
    async def changed() -> bool | None:
        return True if key_of(site) != before else None

    return changed


async def test_a_kill_at_any_step_of_another_key_only_repeats_it(fleet: Fleet) -> None:
    """Each state of the files that a kill can leave behind is made and started from."""
    await fleet.start_coordinator()
    site = await fleet.add_gateway("site", TCP_PUMP)
    await fleet.delivered(site)
    await site.stop()
    # Killed after the key was made and before it was said.
    old = (site.data / KEY_NAME).read_text()
    new = "5a" * 32 + "\n"
    write_private(site.data / NEXT_KEY_NAME, new)
    await site.start()
    await until("another key", _is(site.data / KEY_NAME, new))
    await seen(fleet, site, "its use", fingerprint=key_of(site))
    await site.stop()
    # Killed after it was said and before it took the other's place: the coordinator has used it.
    write_private(site.data / NEXT_KEY_NAME, "5b" * 32 + "\n")
    url = await ends(site.command("rekey", "--config", str(site.config)))
    assert url.status == OK
    (site.data / NEXT_KEY_NAME).write_text((site.data / KEY_NAME).read_text())
    (site.data / NEXT_KEY_NAME).chmod(0o600)
    (site.data / KEY_NAME).write_text(new)
    await site.start()
    await until("the same key once more", _is(site.data / KEY_NAME, "5b" * 32 + "\n"))
    await seen(fleet, site, "its use", fingerprint=key_of(site))
    assert (site.data / REKEY_NAME).exists()
    assert old not in {new, (site.data / KEY_NAME).read_text()}
    await settle(fleet, site)
    await check_account(fleet, site)


def write_private(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text)


def _is(file: Path, text: str) -> Any:
    async def so() -> bool | None:
        return True if file.read_text() == text else None

    return so


async def test_kills_on_both_sides_while_keys_change_lose_nothing(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    site = await fleet.add_gateway("site", TCP_PUMP)
    await fleet.delivered(site)
    for turn in range(4):
        before = key_of(site)
        await steer(fleet, site, "rekey")
        await until("another key", _began(site, before))
        if turn % 2:
            await fleet.coordinator.kill()
            await fleet.coordinator.start()
        else:
            await site.kill()
            await site.start()
        await seen(fleet, site, "its use", rekey_asked=False, next_fingerprint=None)
        assert (await fleet.agent_view(site))["fingerprint"] == key_of(site) != before
    await settle(fleet, site)
    await check_account(fleet, site)


def _began(site: Gateway, before: str) -> Any:
    async def begun() -> bool | None:
        changed = (site.data / NEXT_KEY_NAME).exists() or key_of(site) != before
        return True if changed else None

    return begun


async def test_a_coordinator_that_forgot_several_keys_is_told_once_more(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    site = await fleet.add_gateway("site", TCP_PUMP)
    await fleet.delivered(site)
    await site.stop()
    await fleet.coordinator.stop()
    database = fleet.coordinator.data / "coordinator.db"
    copy = {path: path.read_bytes() for path in database.parent.glob("coordinator.db*")}
    await fleet.coordinator.start()
    for contacts in (False, False, True):  # the second one while the first was never used
        assert (await ends(site.command("rekey", "--config", str(site.config)))).status == OK
        if contacts:
            await site.start()
            await seen(fleet, site, "its use", fingerprint=key_of(site))
            await site.stop()
    await fleet.coordinator.stop()
    for path in database.parent.glob("coordinator.db*"):
        path.unlink()
    for path, data in copy.items():
        path.write_bytes(data)
    await fleet.coordinator.start()
    assert (await fleet.agent_view(site))["fingerprint"] != key_of(site), "it was put back"
    await site.start()
    await seen(fleet, site, "its use", fingerprint=key_of(site))


async def test_labels_of_the_configuration_reach_the_coordinator_when_they_change(
    fleet: Fleet,
) -> None:
    await fleet.start_coordinator()
    site = await fleet.add_gateway("site", TCP_PUMP)
    await fleet.delivered(site)
    known = (await fleet.agent_view(site))["labels"]
    await site.stop()
    text = site.config.read_text()
    site.config.write_text(text.replace('role = "pump"', 'role = "valve"', 1))
    await site.start()
    wanted = {**known, "role": "valve"}
    await seen(fleet, site, "its labels", labels=wanted)
    agent = (await fleet.agent_view(site))["id"]
    outcome = await fleet.outstation("agents", "show", agent)
    assert "role=valve" in outcome.out
    # The agent writes it down once it has heard that they were taken.
    number = await until("it to be written down", _noted(site.data, wanted), look_s=ASK_S)
    await site.stop()
    await site.start()
    await fleet.caught_up(site)
    again = load_enrolment(site.data)
    assert again is not None
    assert again.labels_number == number, "they are told when they change, and not again"
    await site.stop()
    site.config.write_text(text)
    await site.start()
    await seen(fleet, site, "its labels", labels=known)


def _noted(data: Path, labels: dict[str, str]) -> Any:
    async def noted() -> int | None:
        enrolment = load_enrolment(data)
        assert enrolment is not None
        return enrolment.labels_number if dict(enrolment.labels) == labels else None

    return noted


async def test_a_decommissioned_agent_delivers_what_it_has_and_forgets_who_it_was(
    fleet: Fleet,
) -> None:
    await fleet.start_coordinator()
    site = await fleet.add_gateway("site", TCP_PUMP)
    await fleet.delivered(site)
    await fleet.coordinator.kill()
    await site.polled(20)
    await fleet.coordinator.start()
    await steer(fleet, site, "decommission")
    view = await seen(fleet, site, "its leave", state="DECOMMISSIONED")
    assert view["tally"]["delivered"] > 0
    await until("it to forget", _gone(site.data))
    assert not (site.data / KEY_NAME).exists()
    assert json.loads((site.data / LEFT_NAME).read_text()) == {"agent": view["id"]}
    trouble = await site.says(
        "why it meets nobody", lambda status: status["troubles"].get("member")
    )
    assert view["id"] in trouble
    await site.stop()
    assert len(await fleet.series(site, "pump-2")) > 0, "its history stays readable"
    claim = await fleet.claim(site.folder / "again.json", site="site")
    outcome = await ends(
        processes.command(
            *("agent", "enroll", "--coordinator", fleet.coordinator.url),
            *("--claim", str(claim), "--data", str(site.data)),
        )
    )
    check_sentence(outcome, MISTAKE, f"was {view['id']}", "empty data directory")
    outcome = await ends(site.command("rekey", "--config", str(site.config)))
    check_sentence(outcome, MISTAKE, "not enrolled")


def _gone(data: Path) -> Any:
    async def gone() -> bool | None:
        return None if (data / ENROLMENT_NAME).exists() else True

    return gone


async def test_an_agent_that_was_told_to_leave_leaves_although_it_was_killed(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    site = await fleet.add_gateway("site", TCP_PUMP)
    await fleet.delivered(site)
    await steer(fleet, site, "decommission")
    await until("it to be told", _told(site.data))
    await site.kill()
    await site.start()
    await seen(fleet, site, "its leave", state="DECOMMISSIONED")
    await until("it to forget", _gone(site.data))


def _told(data: Path) -> Any:
    async def told() -> bool | None:
        try:
            text = (data / ENROLMENT_NAME).read_text()
        except FileNotFoundError:  # it has left already
            return True
        return True if re.search(r'"leaving": true', text) else None

    return told


# --- mutual TLS ---------------------------------------------------------------------------------
async def restart(fleet: Fleet, *options: str) -> None:
    """Start the coordinator anew with other options."""
    await fleet.coordinator.stop()
    coordinator = fleet.coordinator
    where = ("--data", str(coordinator.data), "--listen", f"127.0.0.1:{coordinator.port}")
    coordinator.child = await warm.start(
        "coordinator", coordinator.command("run", *where, *options), coordinator.data.parent
    )


async def test_contacts_need_a_certificate_where_the_operator_wants_it(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    site = await fleet.add_gateway("site", TCP_PUMP)
    await fleet.delivered(site)
    await restart(fleet, "--client-certificates", "required")
    before = (await fleet.agent_view(site))["tally"]["delivered"]
    # It is denied, asks for a certificate by its signature, and shows it from then on.
    await fleet.delivered(site, before + 20)
    assert (site.data / "client.pem").stat().st_mode & 0o077 == 0
    late = await fleet.add_gateway("late", TCP_PUMP)
    await fleet.delivered(late)
    assert (late.data / "client.pem").exists(), "it came with the enrolment"
    await steer(fleet, late, "rekey")
    view = await seen(fleet, late, "another key", rekey_asked=False)
    assert view["fingerprint"] == key_of(late)
    await site.stop()
    (site.data / "client.pem").write_text((late.data / "client.pem").read_text())
    await site.start()
    await until("whose it shows", _logged(site, "another agent's"))
    delivered = (await fleet.agent_view(site))["tally"]["delivered"]
    await fleet.delivered(site, delivered + 20)


def _logged(site: Gateway, words: str) -> Any:
    assert site.agent is not None
    log = site.agent.log

    async def told() -> bool | None:
        return True if words in log.read_text() else None

    return told


async def test_a_stick_of_an_agent_with_another_key_is_taken_before_and_after_its_first_use(
    fleet: Fleet,
) -> None:
    await fleet.start_coordinator()
    site = await fleet.add_gateway("site", TCP_PUMP)
    await fleet.delivered(site)
    await site.stop()
    assert (await ends(site.command("rekey", "--config", str(site.config)))).status == OK
    await carried(fleet, site, "before.stick")
    await site.start()
    await seen(fleet, site, "its use", fingerprint=key_of(site))
    before = key_of(site)
    await steer(fleet, site, "rekey")
    await until("another key", _other_key(site, before))
    await seen(fleet, site, "its use", fingerprint=key_of(site))
    await carried(fleet, site, "running.stick")


async def carried(fleet: Fleet, site: Gateway, name: str) -> None:
    stick = str(site.folder / name)
    outcome = await ends(site.command("export", stick, "--config", str(site.config)))
    assert outcome.status == OK, outcome
    taken = await fleet.outstation("import", stick)
    assert taken.status == OK, taken
