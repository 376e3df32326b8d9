"""`outstation devices`, `outstation agents diagnose`: what devices and gateways say themselves."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from coordinator.cli.client import CallError, Client, Exit, segment
from coordinator.cli.show import Screen, ago
from coordinator.cli.waiting import until_settled
from coordinator.contract.common import Page
from coordinator.contract.jobs import ExecutionView, JobView
from coordinator.contract.support import BundleView, DeviceView
from shared.runtime.files import check_folder
from shared.words import some

_AGAIN_S: Final = 0.5
"""Between two looks for what a gateway is bringing."""


def meant(devices: int, unasked: int, silent: int = 0) -> str:
    """Return how many devices a job is for, how many of them are silent, and where nobody knows.

    >>> meant(40, 2, silent=3)
    '40 devices that are known, 3 do NOT ANSWER; on 2 agents no device was ever asked what it is'
    """
    known = f"{some(devices, 'device')} that {'is' if devices == 1 else 'are'} known"
    known += f", {silent} {'does' if silent == 1 else 'do'} NOT ANSWER" if silent else ""
    more = f"; on {some(unasked, 'agent')} no device was ever asked what it is"
    return known + more if unasked else known


def list_devices(
    client: Client,
    screen: Screen,
    *,
    agent: str,
    selector: str,
    device_selector: str,
    drifted: bool,
    silent: bool,
    most: int,
) -> None:
    """Print devices that said what they are, or that do not answer."""
    query = {
        "agent": agent,
        "selector": selector,
        "device_selector": device_selector,
        "drifted": "true" if drifted else "",
        "silent": "true" if silent else "",
    }
    found = list(client.pages("/v1/devices", DeviceView, query, most=most))
    if screen.as_json:
        screen.json(found)
        return
    if not found:
        all_ = not any(query.values())
        screen.text(
            "no device has said what it is; ask with a job of device.sync"
            if all_
            else "no device that is known is so"
        )
        return
    heads = ("AGENT", "DEVICE", "VENDOR", "MODEL", "FIRMWARE", "PROFILE", "DRIFT", "OBSERVED")
    unheard = any(one.silent_since for one in found)
    screen.table(
        (*heads, "SILENT") if unheard else heads,
        [
            (
                *(one.agent, one.device, one.vendor or "-", one.model or "-", one.firmware or "-"),
                *(one.profile or "-", ",".join(one.drift) or "-", _observed(one)),
                *((_since(one),) if unheard else ()),
            )
            for one in found
        ],
    )


def show_device(client: Client, screen: Screen, agent: str, device: str) -> None:
    """Print everything that one device said of itself."""
    path = f"/v1/agents/{segment(agent)}/devices/{segment(device)}"
    one = client.get(path, DeviceView)
    if screen.as_json:
        screen.json(one)
        return
    screen.facts(
        [
            ("device", f"{one.device} at {one.agent}"),
            ("observed", _observed(one)),
            *([("silent", _since(one))] if one.silent_since else []),
            *_incoming(one),
            ("drift", ", ".join(one.drift) or "none"),
            *((name.removeprefix("_"), value) for name, value in sorted(one.facts.items())),
        ]
    )


def _observed(one: DeviceView) -> str:
    return "never" if one.observed_at is None else ago(one.observed_at)


def _since(one: DeviceView) -> str:
    """Return since when a device does not answer; its gateway may not have been heard since."""
    return "-" if one.silent_since is None else f"since {ago(one.silent_since)}"


def _incoming(one: DeviceView) -> list[tuple[str, object]]:
    if one.firmware_permille is None or one.told_at is None:
        return []
    return [("firmware", f"{one.firmware_permille // 10} % of an image ({ago(one.told_at)})")]


def release(
    client: Client, screen: Screen, agent: str, device: str, *, wait_s: int, dry_run: bool
) -> Exit:
    """Let a device go that was adopted: it is polled no more, what it told stays."""
    params = {"device": device, "remove": True}
    job = settle(client, screen, agent, "release", params, wait_s=wait_s, dry_run=dry_run)
    if set(job.counts) != {"SUCCEEDED"}:
        raise CallError(f"it was not let go; see: outstation jobs show {job.id}", Exit.FAILED)
    if not screen.as_json:
        told = "could be let go" if dry_run else "is let go; its readings stay"
        screen.text(f"{device} of {agent} {told}")
    return Exit.OK


def get_file(
    client: Client, screen: Screen, agent: str, device: str, path: str, *, output: Path, wait_s: int
) -> Exit:
    """Have a gateway read a file out of a device, and keep it.

    Raises:
        MistakeError: nothing can be written where it is to be kept.
        CallError: the device or the gateway gave none.
    """
    check_folder(output)
    params = {"path": path, "upload": "always"}
    step = {"id": "file", "action": "device.get_file", "params": params, "timeout_s": 600}
    targets = {"agents": [agent], "device_selector": f"id={device}"}
    body = {"name": "get-file", "targets": targets, "steps": [step]}
    content = _made(client, screen, agent, body, wait_s, failed="it was not read")
    output.write_bytes(content)
    screen.text(f"{len(content)} bytes of {path} in {output}")
    return Exit.OK


def settle(
    client: Client,
    screen: Screen,
    agent: str,
    name: str,
    params: Mapping[str, object],
    *,
    wait_s: int,
    dry_run: bool,
) -> JobView:
    """Have a gateway do one `agent.adopt`, and print the job where JSON is wanted."""
    step = {"id": name, "action": "agent.adopt", "params": dict(params), "timeout_s": 600}
    targets = {"agents": [agent]}
    body = {"name": name, "targets": targets, "steps": [step], "dry_run": dry_run}
    first = client.post("/v1/jobs", body, JobView)
    job = until_settled(client, screen, first.id, wait_s, first)
    if screen.as_json:
        screen.json(job)
    return job


def diagnose(
    client: Client, screen: Screen, agent: str, *, output: Path | None, wait_s: int, fresh: bool
) -> Exit:
    """Have a gateway bring a support bundle and print or keep its newest one.

    Raises:
        MistakeError: nothing can be written where it is to be kept.
        CallError: the gateway made none, or it was not served.
    """
    if output is not None:
        check_folder(output)
    brought = ""
    if fresh:
        step = {"id": "file", "action": "agent.diagnose", "params": {"upload": "always"}}
        body = {"name": "diagnose", "targets": {"agents": [agent]}, "steps": [step]}
        text = _made(client, screen, agent, body, wait_s, failed="the gateway made no bundle")
    else:
        newest = _newest(client, agent)
        text = client.get_raw(f"{_bundles(agent)}/{newest.id}", {})
        brought = f", brought {ago(newest.received_at)}"
    if output is not None:
        output.write_bytes(text)
        screen.text(f"{len(text)} bytes in {output}{brought}")
    else:
        screen.whole(text.decode("utf-8", "replace"))
    return Exit.OK


def _bundles(agent: str) -> str:
    return f"/v1/agents/{segment(agent)}/bundles"


def _newest(client: Client, agent: str) -> BundleView:
    whole = [one for one in client.get(_bundles(agent), Page[BundleView]).items if one.complete]
    if not whole:
        raise CallError(f"{agent} has brought no support bundle", Exit.NOT_FOUND)
    return whole[0]


def _made(
    client: Client,
    screen: Screen,
    agent: str,
    body: Mapping[str, object],
    wait_s: int,
    *,
    failed: str,
) -> bytes:
    """Hand a job in whose one step, `file`, has a gateway make a file and bring it; return that."""
    until_s = time.monotonic() + wait_s
    first = client.post("/v1/jobs", body, JobView)
    job = until_settled(client, screen, first.id, wait_s, first)
    found = client.pages("/v1/executions", ExecutionView, {"job": job.id}, most=1)
    told = next((task.result for one in found for task in one.tasks), {})
    if set(job.counts) != {"SUCCEEDED"} or "file.sha256" not in told:
        raise CallError(f"{failed}; see: outstation jobs show {job.id}", Exit.FAILED)
    return _brought(client, agent, str(told["file.sha256"]), until_s)


def _brought(client: Client, agent: str, digest: str, until_s: float) -> bytes:
    """Return what a gateway made; it comes in pieces, after the word that the job is done."""
    while True:
        try:
            return client.get_raw(f"{_bundles(agent)}/{digest}", {})
        except CallError as error:
            if error.code is not Exit.NOT_FOUND:
                raise
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            raise CallError(
                "the gateway has it ready and has not brought it yet; wait longer: --wait SECONDS",
                Exit.TIMED_OUT,
            )
        time.sleep(min(_AGAIN_S, left_s))
