"""mcumgr-toolkit (in Rust) through one whole update; prints what it saw as one JSON line.

Runs in the environment of foreign programs (constraints/peers.txt). Arguments: HOST:PORT
(UDP) or the path of a console, image.
"""

import json
import sys
from pathlib import Path
from typing import Any

from mcumgr_toolkit import MCUmgrClient


def states(client: Any) -> list[list[object]]:
    rows = client.image_get_state()
    return [[row.version, row.active, row.confirmed, row.pending] for row in rows]


def opened(where: str) -> Any:
    host, _, port = where.rpartition(":")
    return MCUmgrClient.udp(host, int(port)) if host else MCUmgrClient.serial(where)


def main(where: str, image: str) -> None:
    client = opened(where)
    client.set_timeout_ms(500)
    client.set_retries(10)
    client.use_auto_frame_size()
    data = Path(image).read_bytes()
    seen: dict[str, object] = {"echo": client.os_echo("hello"), "before": states(client)}
    seen["sensors"] = client.stats_get_group_data("sensors")["poll_count"]
    seen["slots"] = [slot.slot for slot in client.image_slot_info()[0].slots]
    client.fs_file_upload("/lfs/a", data[:3_000])
    seen["file"] = client.fs_file_download("/lfs/a") == data[:3_000]
    client.image_upload(data)
    new = next(row for row in client.image_get_state() if not row.active)
    client.image_set_state(hash=new.hash)
    seen["tested"] = states(client)
    client.os_system_reset()
    while client.image_get_state()[0].version != new.version:
        pass
    client.image_set_state(confirm=True)
    seen["confirmed"] = states(client)
    client.image_erase()
    seen["erased"] = states(client)
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
