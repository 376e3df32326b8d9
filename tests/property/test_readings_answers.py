"""However one asks for readings - in pages, as CSV, Parquet, JSON - the rows are the same ones."""

import asyncio
import csv
import io
import json
from dataclasses import dataclass, replace
from importlib import import_module

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from coordinator.contract.common import to_wall_ms
from coordinator.core.downsample import Choice
from coordinator.core.rollup import MINUTE_S
from coordinator.core.series import Question
from coordinator.services.export import Export, export, rows_of
from coordinator.services.readings import collect_newest, collect_rollups, view_rolled, view_walk
from shared.ids import AgentId
from shared.model.reading import Quality
from tests.length import examples
from tests.readings_office import NOW, add_agent, block, bring, group, roll_everything_up
from tests.stores import ENGINES, AnyStore, open_store

DAY = 86_400_000
START = NOW // DAY * DAY
_FINITE = st.floats(allow_nan=False, allow_infinity=False)
_VALUE = st.none() | st.integers(-(2**64), 2**64 - 1) | _FINITE
_ROW = st.tuples(
    st.integers(-2 * DAY, 2 * DAY) | st.integers(0, 100), _VALUE, st.sampled_from(list(Quality))
)
_BLOCKS = st.lists(st.lists(_ROW, min_size=1, max_size=8), min_size=1, max_size=6)
_SHARED = [HealthCheck.function_scoped_fixture]


@pytest.fixture(params=ENGINES)
def office(request, tmp_path):
    """One store for all examples, each with agents of its own, and the loop it lives in."""
    with asyncio.Runner() as runner:
        opening = open_store(request.param, tmp_path)
        yield Office(runner, runner.run(opening.__aenter__()))
        runner.run(opening.__aexit__(None, None, None))


@dataclass
class Office:
    runner: asyncio.Runner
    store: AnyStore
    agents: int = 0

    def stored(self, blocks):
        """Bring blocks, by turns for two agents; return a question for all of them."""
        self.agents += 2
        names = [AgentId(f"a-{self.agents}"), AgentId(f"b-{self.agents}")]
        self.runner.run(self._bring(names, blocks))
        return Question(
            agents=names, device="", point="", start_ms=-(2**53), end_ms=2**53, limit=100_000
        )

    async def _bring(self, names, blocks):
        for name in names:
            await add_agent(self.store, name)
        for seq, rows in enumerate(blocks, 1):
            times, values, marks = zip(*rows, strict=True)
            one = group([START + at for at in times], values, qualities=[bytes(marks)])
            await bring(self.store, block(seq, one), agent=names[seq % 2])

    def all_rows(self, question):
        walk = self.runner.run(collect_newest(self.store, question))
        return rows_of(walk.collection, walk.complete_from_ms())

    def file(self, question, form):
        async def read():
            asked = Export(question, Choice(0, 0), newest_only=False)
            return b"".join([part async for part in export(self.store, asked, form)])

        return self.runner.run(read())


def given_rows(blocks):
    """The same without our code."""
    return sorted(
        (START + at, repr(value), mark)
        for rows in blocks
        for at, value, mark in rows
        if value is not None or mark != Quality.GOOD
    )


@settings(max_examples=examples(40), deadline=None, suppress_health_check=_SHARED)
@given(blocks=_BLOCKS, limit=st.integers(1, 9))
def test_pages_bring_each_reading_once(office, blocks, limit):
    question = replace(office.stored(blocks), limit=limit)
    names = {"good": 0, "uncertain": 1, "bad_comm": 2, "bad_range": 3, "stale": 4}
    seen = []
    while True:
        walk = office.runner.run(collect_newest(office.store, question))
        view = view_walk(walk)
        for one in view.series:
            assert one.times == sorted(one.times)
            seen += [
                (to_wall_ms(at), repr(value), names[mark])
                for at, value, mark in zip(one.times, one.values, one.qualities, strict=True)
            ]
        if not view.truncated:
            break
        assert view.complete_from is not None
        assert to_wall_ms(view.complete_from) < question.end_ms, "each page gets further"
        question = replace(question, end_ms=to_wall_ms(view.complete_from))
    assert sorted(seen) == given_rows(blocks)


@settings(max_examples=examples(30), deadline=None, suppress_health_check=_SHARED)
@given(blocks=_BLOCKS)
@example(blocks=[[(0, 2**63, Quality.GOOD)], [(0, -(2**64), Quality.GOOD), (1, 5, Quality.GOOD)]])
def test_csv_parquet_and_json_lines_agree(office, blocks):
    question = office.stored(blocks)
    rows = office.all_rows(question)
    assert sorted((row[0], repr(row[5])) for row in rows) == [row[:2] for row in given_rows(blocks)]
    expected = sorted(map(repr, rows))
    lines = [json.loads(line) for line in office.file(question, "jsonl").splitlines()]
    assert sorted(repr((at(one), *list(one.values())[1:])) for one in lines) == expected
    table = list(csv.DictReader(io.StringIO(office.file(question, "csv").decode())))
    texts = sorted(
        repr((row[0], *("" if cell is None else str(cell) for cell in row[1:]))) for row in rows
    )
    assert sorted(repr((at(one), *list(one.values())[1:])) for one in table) == texts
    parquet = (
        import_module("pyarrow.parquet")
        .read_table(io.BytesIO(office.file(question, "parquet")))
        .to_pylist()
    )
    doubles = sorted(
        repr((row[0], *row[1:5], None if row[5] is None else float(row[5]), *row[6:]))
        for row in rows
    )
    integers = [one.pop("integer") for one in parquet]
    assert sorted(repr((ms(one), *list(one.values())[1:])) for one in parquet) == doubles
    large = sorted(row[5] for row in rows if isinstance(row[5], int) and abs(row[5]) > 2**53)
    assert sorted(one for one in integers if one is not None) == large


def at(one):
    from datetime import datetime

    return to_wall_ms(datetime.fromisoformat(one["time"]))


def ms(one):
    return to_wall_ms(one["time"])


@settings(max_examples=examples(30), deadline=None, suppress_health_check=_SHARED)
@given(blocks=_BLOCKS, limit=st.integers(1, 5), band=st.sampled_from([60_000, 180_000, 86_400_000]))
def test_pages_of_rollups_bring_each_band_once(office, blocks, limit, band):
    question = office.stored(blocks)
    office.runner.run(roll_everything_up(office.store))
    widths = {"width_s": MINUTE_S, "band_ms": band}

    def page(asked, begin):
        return office.runner.run(collect_rollups(office.store, asked, **widths, begin=begin))

    whole, more = page(question, None)
    assert more is None
    paged, begin = [], None
    while True:
        some, begin = page(replace(question, limit=limit), begin)
        paged += [(one.agent, one.channel, band) for one in some for band in one.bands]
        if begin is None:
            break
    assert paged == [(one.agent, one.channel, band) for one in whole for band in one.bands]
    counted = sum(count for one in whole for count in view_rolled(one).counts)
    assert counted == len(given_rows(blocks))
