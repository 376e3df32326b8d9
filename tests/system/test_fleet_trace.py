"""One trace from an admin's request to what a gateway did, and back to what the admin sees."""

import json

from tests.system.fleet import Fleet, set_pumps
from tests.system.fleet_parts import RTU_PUMP

TRACE = "0af7651916cd43dd8448eb211c80319c"


async def test_a_request_its_job_and_the_gateways_log_share_a_trace(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    north = await fleet.add_gateway("north", RTU_PUMP)
    headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    body = set_pumps(4200, selector="site=north")
    job = await fleet.admin._call("POST", "/v1/jobs", json=body, headers=headers)
    (execution,) = await fleet.admin.finished(job["id"])
    assert (execution["state"], execution["trace"], job["trace"]) == ("SUCCEEDED", TRACE, TRACE)
    assert north.agent is not None
    # Its end is logged once it is written down, and may have been told by then.
    await north.agent.stop()
    lines = [json.loads(line) for line in north.agent.log.read_text().splitlines()]
    traced = [line for line in lines if TRACE in json.dumps(line)]
    assert [(line["event"], line["trace"]) for line in traced] == [("attempt_ended", TRACE)]
    assert traced[0]["execution"] == execution["id"]
