"""What a coordinator that was put back from a copy cannot know of what it made before.

Its copy may not know of a bundle that was signed since. So what is taken back at once where nothing
was signed waits for the agent's word instead, and what was told before counts as soon as the order
is made again. Ids tell which jobs these are, not when their rows were written: what a trigger or a
rollback makes again has the id, and so the time, that it had (docs/adr/0048).
"""

from coordinator.core.derived import least_after
from coordinator.core.ports import Tx, fetch_one


def certain_from() -> Tx[bytes]:
    """Return the least id of a job of which it is known here whether it was signed.

    Empty, and so less than any, where no copy was ever put back.
    """
    row = yield from fetch_one("newest_restore")
    assert row is not None, "an aggregate always answers"
    return least_after(row[0]) if row[0] else b""
