"""Numbers of SNMP agents, also as those write them that do not know BER well."""

import pytest

from agent.drivers.snmp.codec import SnmpValue
from shared.model.snmp_address import SnmpAddress, SnmpType

COUNTER32, GAUGE32, TICKS, COUNTER64, INTEGER = 0x41, 0x42, 0x43, 0x46, 0x02


@pytest.mark.parametrize("zero", [0, 1], ids=["bare", "zero byte"])
@pytest.mark.parametrize(
    ("tag", "kind", "bits"),
    [
        (COUNTER32, "counter32", 32),
        (GAUGE32, "gauge", 32),
        (TICKS, "ticks", 32),
        (COUNTER64, "counter64", 64),
    ],
)
def test_a_full_number_without_a_sign_is_known_by_its_type(
    tag: int, kind: SnmpType, bits: int, zero: int
):
    for number in (1 << bits - 1, (1 << bits) - 1, (1 << bits - 1) - 1):
        value = SnmpValue(tag, number.to_bytes(bits // 8 + zero, "big"))
        assert value.count(SnmpAddress(oid=(1, 3), type=kind)) == number
        assert value.text == str(number)


def test_a_number_with_a_sign_keeps_it():
    below = SnmpValue(INTEGER, b"\xff\xff\xff\xfe")
    assert below.count(SnmpAddress(oid=(1, 3), type="integer")) == -2
    assert below.count(SnmpAddress(oid=(1, 3), type="gauge")) is None
    short = SnmpValue(GAUGE32, b"\xfe")
    assert short.count(SnmpAddress(oid=(1, 3), type="gauge")) is None
