"""Ids that a coordinator which comes back from a copy makes again as they were."""

from coordinator.core.derived import execution_of, firing_of, undoing_of
from shared.clock import WallMs
from shared.ids import AgentId, JobId, uuid7, uuid_text

JOB, OTHER = (JobId(uuid7(WallMs(1_700_000_000_000), bytes([n]) * 10)) for n in (1, 2))
PUMP = AgentId("pump")


def test_an_order_made_again_has_the_same_id_and_every_other_one_another():
    made = {
        execution_of(JOB, PUMP),
        execution_of(JOB, PUMP),
        execution_of(JOB, AgentId("valve")),
        execution_of(OTHER, PUMP),
        undoing_of(JOB),
        undoing_of(JOB),
        firing_of(JOB, "a", WallMs(5)),
        firing_of(JOB, "a", WallMs(5)),
        firing_of(JOB, "b", WallMs(5)),
    }
    assert len(made) == 6


def test_they_are_of_the_time_of_what_they_belong_to():
    assert execution_of(JOB, PUMP)[:6] == JOB[:6]
    assert uuid_text(undoing_of(JOB))[14] == "7"
    assert firing_of(JOB, "a", WallMs(5))[:6] == (5).to_bytes(6)
