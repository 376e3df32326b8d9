"""A channel keeps its rollups when somebody changes how many of its readings are held back."""

from msgspec.structs import replace

from coordinator.core.rollup import MINUTE_S
from coordinator.core.series import Question
from coordinator.services.readings import collect_newest, view_walk
from coordinator.store.sqlite import SqliteStore
from shared.block.schema import Schema
from shared.model.reading import Reduction, schema_ref
from tests.readings_office import (
    NOW,
    SCHEMA,
    add_agent,
    block,
    bring,
    group,
    roll_everything_up,
    rolled,
)

HELD = Schema(
    (replace(SCHEMA.channels[0], reduction=Reduction("hold", 1.0, True)), *SCHEMA.channels[1:])
)


async def test_rollups_go_on_and_single_readings_say_how_they_were_held_back(tmp_path):
    async with await SqliteStore.open(tmp_path / "coordinator.db") as store:
        await add_agent(store)
        await bring(store, block(1, group([NOW], [1.0])))
        held = block(2, group([NOW + 1_000], [3.0]), schema=schema_ref(HELD.hash))
        await bring(store, held, schema=HELD)
        await roll_everything_up(store)
        (bucket,) = (await rolled(store, MINUTE_S)).values()
        assert (bucket.count, bucket.mean) == (2, 2.0)
        question = Question(agents=None, device="", point="", start_ms=0, end_ms=2 * NOW, limit=9)
        view = view_walk(await collect_newest(store, question))
        assert sorted(one.reduction for one in view.series) == ["", "hold 1 %"]
