"""Every bound of the system, each with its reason; import-time asserts relate them to each other.

A size that is not here is not bounded, and that is a defect. One file for each noun; users write
``from shared import limits`` and ``limits.NAME``, whichever file it stands in.
"""

from shared.limits.coordinator import *
from shared.limits.devices import *
from shared.limits.jobs import *
from shared.limits.postgres import *
from shared.limits.simulator import *
from shared.limits.stores import *
from shared.limits.sync import *
from shared.limits.trust import *
from shared.limits.wire import *

assert 16 * MODBUS_REGISTERS <= MODBUS_BITS, "a register's room in an answer holds 16 bits"
assert BLOCKS_PER_REPORT * ANNOUNCED_BYTES + 512 < REPORT_BYTES, "they fit beside an account"
assert BLOCK_BYTES < BODY_BYTES_UP, "any block must fit into one contact"
assert STANDING_BYTES + DOCUMENT_BYTES + REPORT_BYTES < BODY_BYTES_DOWN, "all fits into one answer"
assert ROOTS + 4 <= BODY_PARTS, "any agent can be led to the newest root at once"
assert DOCUMENT_BYTES < BODY_BYTES_DOWN, "any bundle must fit into one answer"
assert COUNTER_SLOT_BYTES < COUNTER_STRIDE_BYTES, "the slots must not touch"
assert SPEC_BYTES < DOCUMENT_BYTES, "any single job must fit into one bundle"
assert RESULT_BYTES + 4 * DETAIL_CHARS < REPORT_BYTES // 2, "any receipt must fit into one report"
