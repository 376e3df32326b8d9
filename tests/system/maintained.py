"""A small real fleet that is kept in order: what its admin does at the command line.

Owns the pumps' profile, jobs made from templates, and reports. What comes of them is a test.
"""

import json
import struct
from asyncio import open_connection
from pathlib import Path
from typing import Any

from firmware_sim.demo.layout import Place, profile_text
from tests.system.fleet import Fleet
from tests.system.fleet_parts import ASK_S, Gateway, until

POLL_S = 0.5
"""How often each pump is polled."""
SETPOINT = 100
"""Register of the pumps' setpoint."""
RINSED = 777
"""What the call `rinse` writes there."""
_POINT = 'name = "setpoint"\n'
_CALL = f'\n[[call]]\nname = "rinse"\npoint = "setpoint"\nvalue = {RINSED}\n'


async def add_site(fleet: Fleet, name: str, *pumps: str) -> Gateway:
    """Start a gateway whose pumps have a configuration to keep and a call without a value."""
    places = [Place(pump, "pump", serial=False) for pump in pumps]
    gateway = await fleet.add_gateway(name, *places, start=False, poll_interval_s=POLL_S)
    text = profile_text("pump").replace(_POINT, f"{_POINT}config = true\n")
    (gateway.folder / "pump.toml").write_text(text + _CALL)
    await gateway.start()
    await fleet.delivered(gateway)
    return gateway


async def turn(gateway: Gateway, pump: str, value: int) -> None:
    """Set a pump's setpoint as somebody does who stands before it: the fleet knows nothing."""
    host, _, port = gateway.devices[pump].ready.split()[-1].rpartition(":")
    reader, writer = await open_connection(host, int(port))
    request = struct.pack(">HHHBBHH", 1, 0, 6, 1, 6, SETPOINT, value)
    writer.write(request)
    assert await reader.readexactly(len(request)) == request
    writer.close()
    await writer.wait_closed()


async def made(fleet: Fleet, template: str, *values: str, wait: bool = True) -> dict[str, Any]:
    """Hand in a job from a template as an admin does; return what the command line tells."""
    settings = [word for value in values for word in ("--set", value)]
    arguments = ["--template", template, *settings, "--selector", "role=pump", "--json"]
    done = await fleet.outstation("jobs", "submit", *arguments, *(["--wait"] if wait else []))
    assert done.status == 0, done
    return dict(json.loads(done.out))


def results(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what each task gave, by its device; of agents by their number."""
    tasks = [task for execution in told["executions"] for task in execution["tasks"]]
    names = [task["device"].replace("@agent", f"@agent {n}") for n, task in enumerate(tasks)]
    return dict(zip(names, (task["result"] for task in tasks), strict=True))


async def reported(fleet: Fleet, report: str, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit status of a report and its lines."""
    done = await fleet.outstation("reports", report, *arguments, "--json")
    return done.status, list(json.loads(done.out))


async def firings(fleet: Fleet, job: str, *, least: int) -> None:
    """Wait until a standing job has told so many lines of history."""

    async def told() -> bool | None:
        page = await fleet.admin.get(f"/v1/jobs/{job}/firings", page_size=500)
        return True if len(page["items"]) >= least else None

    await until(f"{least} lines of history", told, look_s=ASK_S)


async def told_of(fleet: Fleet, job: str, devices: set[str]) -> None:
    """Wait until a standing job has told of each of these devices, however many lines that takes.

    A gateway whose link is slow is heard of after the other one has told much.
    """

    async def told() -> bool | None:
        page = await fleet.admin.get(f"/v1/jobs/{job}/firings", page_size=500)
        return devices <= {one["device"] for one in page["items"]} or None

    await until(f"lines of {', '.join(sorted(devices))}", told, look_s=ASK_S)


async def history(fleet: Fleet, job: str, *, least: int = 1) -> list[dict[str, Any]]:
    """Wait for so much history of a standing job; return it as the command line shows it."""
    await firings(fleet, job, least=least)
    shown = await fleet.outstation("jobs", "history", job, "--json")
    return list(json.loads(shown.out))


async def saved_as(fleet: Fleet, template: str, name: str, file: Path, *, every_s: int) -> None:
    """Keep a template of the fleet's own: one that comes with the program, at another pace."""
    shown = await fleet.admin.get(f"/v1/templates/{template}")
    job = {key: shown["job"][key] for key in ("steps", "expires_in_s")}
    job["schedule"] = {"interval_s": every_s, "overlap": "skip"}
    parameters = {key: one for key, one in shown["parameters"].items() if key == "saved"}
    body = {"name": name, "about": shown["about"], "parameters": parameters, "job": job}
    file.write_text(json.dumps(body))
    done = await fleet.outstation("templates", "save", str(file))
    assert done.status == 0, done
