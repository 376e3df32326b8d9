"""A schema has one form, one hash, and no room for a second meaning."""

import pytest

from shared import limits
from shared.block.schema import Schema
from shared.errors import Reason, RefusedError
from shared.ids import DeviceId
from shared.model.reading import Channel
from shared.wire.codec import pack

PUMP = Schema(
    (
        Channel(DeviceId("pump-1"), "flow", "m3/h"),
        Channel(DeviceId("pump-1"), "energy", "kW.h", "counter"),
        Channel(DeviceId("gate"), "open", kind="state"),
    )
)


def test_a_schema_survives_its_bytes():
    assert Schema.decode(PUMP.encode()) == PUMP


def test_the_hash_names_the_order_of_channels():
    assert len(PUMP.hash) == 8
    assert Schema(PUMP.channels[::-1]).hash != PUMP.hash
    assert Schema(PUMP.channels).hash == PUMP.hash


@pytest.mark.parametrize(
    "channels",
    [
        [["pump-1", "flow", "m3/h", "gauge"]] * 2,
        [["Pump 1", "flow", "m3/h", "gauge"]],
        [["pump-1", "", "m3/h", "gauge"]],
        [["pump-1", "flow", "x" * (limits.UNIT_CHARS + 1), "gauge"]],
        [["pump-1", "flow", "m3/h", "integral"]],
        [["pump-1", "flow", "m3/h", "gauge", 1]],
        [["pump-1", f"p{n}", "", "gauge"] for n in range(limits.CHANNELS + 1)],
        {"pump-1": 1},
        7,
    ],
)
def test_a_list_that_is_no_schema_is_refused(channels):
    with pytest.raises(RefusedError) as refused:
        Schema.decode(pack(channels))
    assert refused.value.reason is Reason.SCHEMA_MALFORMED


def test_any_cut_of_a_schema_is_refused():
    data = PUMP.encode()
    for end in range(len(data)):
        with pytest.raises(RefusedError):
            Schema.decode(data[:end])
