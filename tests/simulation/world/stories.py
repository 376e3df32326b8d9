"""The table of stories: which there are, and how often each is told."""

from collections.abc import Mapping

from tests.simulation.world import courier, events, guests, operators
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
    "backup": (2, events.backup),
    "ask": (9, events.ask),
    "change of mind": (4, events.change_of_mind),
    "rekey": (2, events.rekey),
    "sticks": (2, courier.sticks),
    "guest": (2, guests.guest),
    "rollout": (3, operators.rollout),
    "standing": (3, operators.standing),
}
"""How often each is told, compared with the others."""
GRAVE = frozenset({"damage", "lose jobs", "reflash", "backup"})
"""After these some promises cannot be judged exactly; a third of the worlds are spared them."""
RARE: Mapping[str, float] = {
    "kill": 1.0,
    "stop": 0.4,
    "clock step": 0.5,
    "drift": 0.5,
    "reboot": 0.7,
    "damage": 0.95,
    "lose jobs": 0.6,
    "reflash": 0.95,
    "backup": 0.98,
    "rekey": 0.4,
    "change of mind": 0.5,
    "sticks": 0.6,
    "guest": 0.97,
    "rollout": 0.9,
    "standing": 0.5,
}
"""How likely each is told once more: what happens once in a life must still happen often here."""
