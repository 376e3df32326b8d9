"""smpclient as a process that is told what to do: one JSON line in, one out.

Runs in the environment of foreign programs (constraints/peers.txt), where nothing of ours is
installed. Arguments: the address of a UDP node, or the path of its console.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from smpclient import SMPClient
from smpclient.exceptions import SMPUploadError
from smpclient.generics import success
from smpclient.requests.file_management import FileDownload
from smpclient.requests.image_management import (
    ImageErase,
    ImageStatesRead,
    ImageStatesWrite,
)
from smpclient.requests.os_management import (
    EchoWrite,
    MCUMgrParametersRead,
    OSApplicationInfoRead,
    ResetWrite,
)
from smpclient.requests.statistics_management import GroupData
from smpclient.transport.serial.encoded import SMPSerialTransport
from smpclient.transport.udp import SMPUDPTransport


async def ask(client: Any, request: Any, wait_s: float | None) -> dict[str, Any]:
    answer = await client.request(request, wait_s)
    if not success(answer):
        error = getattr(answer, "err", None)
        return {"refused": int(answer.rc if error is None else error.rc)}
    return {
        name: value
        for name, value in json.loads(
            answer.model_dump_json(exclude={"header", "version", "sequence", "smp_data", "images"})
        ).items()
        if value is not None
    } | ({"images": [row(image) for image in answer.images]} if hasattr(answer, "images") else {})


def row(image: Any) -> dict[str, Any]:
    flags = ("bootable", "pending", "confirmed", "active", "permanent")
    return {
        "slot": image.slot,
        "version": image.version,
        "hash": bytes(image.hash).hex(),
        "flags": [flag for flag in flags if getattr(image, flag)],
    }


async def upload(client: Any, path: str, stop_at: int | None) -> dict[str, Any]:
    offsets = []
    try:
        async for offset in client.upload(Path(path).read_bytes()):
            offsets.append(offset)
            if stop_at is not None and offset >= stop_at:
                break
    except SMPUploadError as error:
        return {"failed": type(error).__name__, "offsets": offsets}
    return {"offsets": offsets}


async def files(client: Any, name: str, path: str) -> dict[str, Any]:
    """Send a file up, read it back with the device's own first piece as witness."""
    data = Path(path).read_bytes()
    async for _ in client.upload_file(file_data=data, file_path=name):
        pass
    first = await client.request(FileDownload(off=0, name=name))
    back = await client.download_file(name)
    return {"len": first.len, "same": bytes(back) == data}


REQUESTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "echo": lambda order: EchoWrite(d=order["d"]),
    "parameters": lambda _: MCUMgrParametersRead(),
    "info": lambda _: OSApplicationInfoRead(format="s"),
    "sensors": lambda _: GroupData(name="sensors"),
    "list": lambda _: ImageStatesRead(),
    "test": lambda order: ImageStatesWrite(hash=bytes.fromhex(order["hash"])),
    "confirm": lambda _: ImageStatesWrite(confirm=True),
    "reset": lambda _: ResetWrite(),
    "erase": lambda _: ImageErase(),
}


async def carry_out(client: Any, order: dict[str, Any]) -> dict[str, Any]:
    match order["do"]:
        case "upload":
            return await upload(client, order["path"], order.get("stop_at"))
        case "files":
            return await files(client, order["name"], order["path"])
        case name:
            return await ask(client, REQUESTS[name](order), order.get("wait_s"))


async def main(where: str) -> None:
    transport = SMPSerialTransport() if where.startswith("/") else SMPUDPTransport()
    client = SMPClient(transport, where, timeout_s=5.0)
    await client.connect(10.0)
    print(json.dumps({}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        try:
            answer = await carry_out(client, json.loads(line))
        except TimeoutError:
            answer = {"silent": True}
        print(json.dumps(answer), flush=True)
    await client.disconnect()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
