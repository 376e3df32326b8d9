"""`make demo`: the main job from end to end, on real protocols, with every promise checked.

Runs a coordinator, three gateways and six simulated devices as real processes, cuts a link,
attacks another, and counts from the devices' own ledgers. Exit status 0 if every promise held.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from firmware_sim.clock import SystemTicks
from firmware_sim.demo.account import Result
from firmware_sim.demo.show import Narrator, narrator
from firmware_sim.demo.story import tell
from firmware_sim.demo.world import World, build
from shared.errors import OutstationError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="outstation-sim demo",
        description="Run a coordinator, three gateways and their devices, and tell a story.",
    )
    parser.add_argument("--once", action="store_true", help="end after the story")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON line")
    parser.add_argument("--plain", action="store_true", help="plain lines even on a terminal")
    options = parser.parse_args(argv)
    live = sys.stderr.isatty() and not options.plain and not options.json
    voice = narrator(live=live)
    try:
        result = asyncio.run(_run(voice, stay=not options.once))
    except OutstationError as error:
        voice.close()
        print(f"the demo could not go on: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        voice.close()
        print("stopped; everything is cleaned up", file=sys.stderr)
        return 0
    if options.json:
        print(json.dumps(result.as_dict()), flush=True)
    return 0 if all(result.promises.values()) else 1


async def _run(voice: Narrator, *, stay: bool) -> Result:
    began_ms = SystemTicks().mono_ms()
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    for ending in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(ending, task.cancel)
    with tempfile.TemporaryDirectory(prefix="outstation-demo-") as folder:
        async with AsyncExitStack() as stack:
            world = await build(Path(folder), stack)
            result = await tell(world, voice, began_ms)
            voice.close()
            _sum_up(voice, result)
            if stay:
                await _stay(world, voice)
    return result


def _sum_up(voice: Narrator, result: Result) -> None:
    read = result.readings
    voice.act(7, "The account, from the devices' own ledgers")
    voice.say(
        f"{read['sampled']} values served = {read['suppressed']} suppressed + {read['delivered']}"
        f" delivered + {read['stored']} still stored + {read['ledger']} in the loss ledger"
    )
    voice.say(f"{result.jobs['succeeded']} of {result.jobs['submitted']} executions succeeded")
    voice.say(f"{result.wire_bytes} bytes on the links in {result.contacts} contacts")
    for name, held in result.promises.items():
        voice.verdict(name.replace("_", " "), held)


async def _stay(world: World, voice: Narrator) -> None:
    """Start the gateways again, so that a visitor can look around, until Ctrl-C."""
    for gateway in world.gateways.values():
        await world.start_agent(gateway)
    config = world.access
    voice.say("")
    voice.say(f"The fleet goes on working at {world.coordinator_url}. In another terminal:")
    voice.say(f"  .venv/bin/outstation --config {config} agents list")
    voice.say(
        f"  .venv/bin/outstation --config {config} readings plot west pump-1 pressure --start 2m"
    )
    voice.say("Ctrl-C ends the demo and removes everything.")
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
