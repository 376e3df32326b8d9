"""What reports say of single devices: whom it names, when, and what that costs."""

from agent.core.device_words import Told
from agent.core.health import AGAIN, STILL, Moving, Silence
from agent.core.progress import Progress
from shared import limits
from shared.clock import MonoMs
from shared.ids import DeviceId
from shared.wire.codec import pack
from shared.wire.messages import DeviceWord

HOUR_MS = 3_600_000
NOW = MonoMs(100 * HOUR_MS)
WELL = Silence(now_ms=NOW)


def silent(*names: str, hours: int = 1, now_ms: int = NOW) -> Silence:
    """Return that devices do not answer since some hours before `NOW`."""
    heard_ms = MonoMs(NOW - hours * HOUR_MS)
    return Silence({DeviceId(name): heard_ms for name in names}, now_ms=MonoMs(now_ms))


def taking(**permille: int) -> Moving:
    return Moving(images={DeviceId(name): Progress(done, 1000) for name, done in permille.items()})


def test_who_falls_silent_is_named_once_and_so_is_who_is_back() -> None:
    words, told = Told().say(STILL, WELL)
    assert words == [], "the first word of a run takes back what an earlier one said"
    words, told = told.say(STILL, silent("pump-1"))
    assert words == [DeviceWord("pump-1", 3600)]
    words, told = told.say(STILL, silent("pump-1", now_ms=NOW + HOUR_MS))
    assert words is None, "since when is known"
    words, told = told.say(STILL, silent("pump-1", "pump-2"))
    assert words == [DeviceWord("pump-1", 3600), DeviceWord("pump-2", 3600)]
    words, told = told.say(STILL, WELL)
    assert words == []
    assert told.say(STILL, WELL)[0] is None


def test_who_answered_between_two_contacts_and_fell_silent_again_is_told_anew() -> None:
    _, told = Told().say(STILL, silent("pump-1", hours=5))
    words, _ = told.say(STILL, silent("pump-1", hours=2))
    assert words == [DeviceWord("pump-1", 7200)]


def test_the_longest_silences_are_told_where_there_is_no_room_for_all() -> None:
    heard = {DeviceId(f"pump-{hours}"): MonoMs(NOW - hours * HOUR_MS) for hours in range(1, 31)}
    words, _ = Told().say(taking(valve=100), Silence(heard, now_ms=NOW))
    assert words is not None
    assert len(words) == limits.DEVICES_PER_REPORT
    assert [one.device for one in words[:3]] == ["valve", "pump-30", "pump-29"]


def test_firmware_is_told_by_device_and_by_quarters() -> None:
    told, said = Told(), []
    for permille in range(0, 1001, 10):
        words, told = told.say(taking(one=permille, two=0), WELL)
        said += [words[0].image_permille] if words else []
    assert said[0] == 0
    assert {250, 500, 750, 1000} <= set(said)
    assert len(said) <= 5 + 101 // AGAIN
    assert told.say(STILL, WELL)[0] == [], "and that it is over"


def test_nothing_is_said_after_a_start_before_each_device_could_answer() -> None:
    unsure = Silence(unsure=True, now_ms=NOW)
    words, told = Told().say(STILL, unsure)
    assert words is None, "who was silent before the start is not well for that"
    unheard = Silence({DeviceId("dead"): NOW}, unheard=frozenset({DeviceId("dead")}), now_ms=NOW)
    words, told = told.say(STILL, unheard)
    assert words == [DeviceWord("dead", 0, unheard=True)]
    assert told.say(STILL, Silence(unsure=True, now_ms=NOW))[0] == []


def test_it_is_repeated_now_and_then_for_a_coordinator_set_back() -> None:
    _, told = Told().say(STILL, silent("pump-1"))
    said = []
    for _ in range(AGAIN):
        words, told = told.say(STILL, silent("pump-1"))
        said.append(words)
    assert said[:-1] == [None] * (AGAIN - 1)
    assert said[-1] == [DeviceWord("pump-1", 3600)]


def test_a_silent_device_costs_seven_bytes_and_its_name_and_a_full_list_fits_anywhere() -> None:
    assert len(pack(DeviceWord("pump-1", 3600))) == len("pump-1") + 7
    worst = [DeviceWord("x" * 40, 1 << 40, 1000, unheard=True)] * limits.DEVICES_PER_REPORT
    assert len(pack(worst)) < 900
