"""A job means the same to people, on the wire and back; its history comes in any order."""

import asyncio
import tempfile
from functools import partial
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.contract.job_spec import SpecBody, from_spec, parse_submission, to_spec
from coordinator.store.sqlite import SqliteStore
from coordinator.transactions.firings import NEWEST, WantedAlarms, list_alarms, list_firings
from coordinator.transactions.receipts import reconcile_receipts
from shared import limits
from shared.model.job import ExecutionState, JobSpec, Retry, Step, Targets
from shared.model.plan import Alarm, Batch, Dependency, PostCheck, Rule, Severity
from shared.model.schedule import Misfire, Overlap, Schedule, Unsynced, Window
from shared.wire.codec import pack, unpack
from shared.wire.messages import Receipt
from tests.length import examples
from tests.unit.test_coordinator_transactions import AGENT, NOW, enrolled, issued, submitted

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBER = st.integers(0, limits.INT_MAX)
TIME_MS = st.integers(0, 253_402_300_799_999)
VALUE = st.one_of(st.booleans(), st.integers(-limits.INT_MAX, limits.INT_MAX), TEXT)
STEP = st.builds(
    Step,
    id=TEXT,
    action=TEXT,
    params=st.dictionaries(TEXT, st.one_of(VALUE, st.lists(TEXT, max_size=2)), max_size=2),
    timeout_s=NUMBER,
    when=TEXT,
    retries=NUMBER,
    on_failure=TEXT,
    for_s=NUMBER,
)
STEPS = st.lists(STEP, max_size=2)
SPEC = st.builds(
    JobSpec,
    name=TEXT,
    steps=STEPS,
    targets=st.builds(Targets, st.lists(TEXT, max_size=2), TEXT, TEXT),
    retry=st.builds(
        Retry, NUMBER, NUMBER, NUMBER, st.none() | NUMBER, st.integers(1, 10**7), st.booleans()
    ),
    delay_s=NUMBER,
    final_steps=STEPS,
    post_check=st.none() | st.builds(PostCheck, TEXT, NUMBER, NUMBER, NUMBER),
    compensation=STEPS,
    preconditions=st.lists(TEXT, max_size=2),
    window=st.none() | st.builds(Window, TEXT, NUMBER, TEXT),
    schedule=st.none()
    | st.builds(
        Schedule,
        cron=TEXT,
        interval_s=NUMBER,
        at_ms=TIME_MS,
        zone=TEXT,
        misfire=st.sampled_from(Misfire),
        max_catchup=NUMBER,
        overlap=st.sampled_from(Overlap),
        unsynced=st.sampled_from(Unsynced),
        jitter_s=NUMBER,
        slack_s=NUMBER,
        start_ms=TIME_MS,
        end_ms=TIME_MS,
    ),
    rule=st.none()
    | st.builds(
        Rule,
        condition=TEXT,
        for_s=NUMBER,
        reset=TEXT,
        min_interval_s=NUMBER,
        max_per_day=NUMBER,
        alarm=st.none() | st.builds(Alarm, TEXT, st.sampled_from(Severity)),
    ),
    batch=st.builds(Batch, NUMBER, st.integers(0, 1_000_000), NUMBER),
    timeout_s=NUMBER,
    priority=NUMBER,
    conflict_key=TEXT,
    after=st.none() | st.builds(Dependency, TEXT, TEXT),
    dry_run=st.booleans(),
)


@given(SPEC)
def test_a_job_as_json_is_the_job_that_was_signed(spec):
    body = from_spec(spec)
    assert to_spec(body) == spec
    text = msgspec.json.encode(body)
    again = to_spec(msgspec.json.decode(text, type=SpecBody))
    assert pack(again) == pack(spec), "what people read has the digest that they sign"
    assert to_spec(parse_submission(msgspec.json.decode(text))) == spec
    assert unpack(pack(again), JobSpec, bound=1 << 20) == spec


@st.composite
def arrivals(draw):
    """History as an agent numbers it, and how it comes: in any order, in parts, again."""
    made = []
    for number in range(1, draw(st.integers(1, 6)) + 1):
        at = draw(st.integers(0, 3))
        severity = draw(st.sampled_from([{}, {"severity": "info"}, {"severity": "loud"}]))
        made.append(
            Receipt(
                *(number, b"", "", int(ExecutionState.SUCCEEDED), 1, 0, NOW, "text"),
                {"device": "pump-1", "level": number, **severity},
                firing_ms=at,
                last_ms=at + number,
                count=draw(st.integers(1, 9)),
            )
        )
    again = draw(st.lists(st.sampled_from(made), max_size=4))
    return made, draw(st.permutations([*made, *again])), draw(st.integers(1, 4))


@settings(max_examples=examples(40), deadline=None)
@given(arrivals())
def test_history_is_the_same_however_it_comes(arrival):
    asyncio.run(check_history(*arrival))


async def check_history(made, arriving, size):
    with tempfile.TemporaryDirectory(prefix="outstation-history-") as folder:
        async with await SqliteStore.open(Path(folder) / "coordinator.db") as store:
            await enrolled(store)
            job = (await submitted(store, schedule={"interval_s": 60})).job
            (grant,) = (await issued(store, NOW)).grants
            for begin in range(0, len(arriving), size):
                part = arriving[begin : begin + size]
                told = [msgspec.structs.replace(one, execution=grant.execution) for one in part]
                body = partial(reconcile_receipts, AGENT, b"J" * 16, told, now_ms=NOW, oldest=1)
                await store.run(body, durable=False)
            listed = partial(list_firings, job, agent="", before=NEWEST, size=99)
            page = await store.read(listed)
            assert page is not None
            found, following = page
            alarms, _ = await store.read(
                partial(list_alarms, WantedAlarms(), before=NEWEST, size=99)
            )
    assert following is None
    expected = sorted(made, key=lambda one: (one.last_ms, one.result["level"]), reverse=True)
    assert {one.result["level"]: one.count for one in found} == {
        one.number: one.count for one in made
    }
    assert [one.last_at.timestamp() for one in found] == [one.last_ms / 1000 for one in expected]
    assert len(alarms) == sum(one.result.get("severity") == "info" for one in made)
    assert {one.device for one in found} == {"pump-1"}
