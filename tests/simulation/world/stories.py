"""The table of stories: which there are, and how often each is told."""

from collections.abc import Mapping

from tests.simulation.world import boards, copies, courier, events, guests, operators, triggers
from tests.simulation.world.scene import Story

STORIES: Mapping[str, tuple[int, Story]] = {
    "kill": (3, events.kill),
    "die at commit": (4, events.die_at_commit),
    "die with job": (4, events.die_with_job),
    "stop": (2, events.stop_and_start),
    "bad line": (4, events.bad_line),
    "weather": (5, events.weather),
    "sick device": (4, events.sick_device),
    "clock step": (2, events.clock_step),
    "drift": (2, events.drift),
    "reboot": (3, events.reboot),
    "disk": (3, events.disk),
    "damage": (4, events.damage),
    "lose jobs": (2, events.lose_jobs),
    "reflash": (2, events.reflash),
    "backup": (2, copies.backup),
    "ask": (9, events.ask),
    "change of mind": (4, events.change_of_mind),
    "rekey": (2, events.rekey),
    "sticks": (2, courier.sticks),
    "guest": (2, guests.guest),
    "rollout": (3, operators.rollout),
    "standing": (3, operators.standing),
    "trigger": (3, triggers.trigger),
    "regret": (0, operators.regret),
    "firmware": (0, boards.firmware),
    "ruin": (0, copies.ruin),
}
"""How often each is told, compared with the others. New ones go to the end, with 0: what is told
besides (`RARE`) leaves the stories of all seeds as they are."""
GRAVE = frozenset({"damage", "lose jobs", "reflash", "backup", "ruin"})
"""After these some promises cannot be judged exactly; a quarter of the worlds are spared them."""
RARE: Mapping[str, float] = {
    "kill": 1.5,
    "stop": 0.6,
    "clock step": 0.6,
    "drift": 0.7,
    "reboot": 0.9,
    "damage": 1.4,
    "lose jobs": 0.9,
    "reflash": 0.95,
    "backup": 0.98,
    "ask": 0.5,
    "change of mind": 1.0,
    "rekey": 0.8,
    "sticks": 0.9,
    "guest": 0.97,
    "rollout": 1.0,
    "standing": 0.6,
    "trigger": 0.4,
    "regret": 0.25,
    "firmware": 0.25,
    "ruin": 0.25,
}
"""How often each is told besides, on average: what happens once in a life must happen often here.

So that each kind of fault strikes some 150 times in 200 worlds, whatever seeds they begin with.
"""
