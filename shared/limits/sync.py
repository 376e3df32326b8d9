"""Bounds of a contact, of what it carries, and of a reading block."""

# --- sync ----------------------------------------------------------------------------------------
BLOCK_PRIORITIES = 3
"""Priorities of a block: 0 alarms, 1 soon, 2 readings that wait for a contact."""
BLOCKS_PER_REPORT = 512
"""Announced blocks: as many as REPORT_BYTES has room for beside an account. A backlog over a slow
link waits a round trip for each report, so the blocks behind it must be worth the wait: at 256
kbit/s with 600 ms of delay 160 blocks used 85 % of the line."""
ANNOUNCED_BYTES = 22
"""One announced block: the array, a number below 65,536, 16 bytes of a hash."""
RECEIPTS_PER_REPORT = 16
"""Receipts in one report; the rest follows with the next."""
LEDGER_PER_REPORT = 16
"""Loss-ledger rows in one report."""
ANCHORS_PER_REPORT = 4
"""True times of boots in one report, about 40 bytes each; a boot has one, rarely a second."""
REPORTS_REMEMBERED = 1_024
"""Reports of an agent whose digests a coordinator keeps: ten days of a contact each 15 minutes."""
STRAY_REPLIES = 4
"""Answers to reports from beside the chain that a coordinator remembers per agent."""
GONE_RANGES = 16
"""Ranges of blocks in one report that were asked for again and are no longer there."""
WANTED_RANGES = 64
"""Ranges of blocks one reply asks for again."""
PARCEL_BYTES = 1_114_112
"""One parcel of a stick: as much as one contact, sealed; a whole one is held in memory."""
STICK_BYTES = 1 << 40
"""Most that one stick takes; larger is a slip of the pen."""
CARRIED_NACKS = 64
"""Refused blocks that a stick brings back; earlier ones were brought back by an earlier stick."""
CARRIED_REMEMBERED = 4_096
"""Carried reports of which an agent knows what they were made of; what answers an older one frees
no readings, so this is many sticks of many parcels."""
CARRIED_BUNDLE_S = 2_592_000
"""A bundle on a stick is admitted within a month of its signing: somebody has to drive there."""
RANGES = 1_024
"""Separate acknowledged ranges kept per agent and store epoch before the newest are refused."""
RANGES_OPEN = 256
"""Gaps behind which an agent closes the oldest first, alarms or not: a full report more of alarms
leaves room in what the coordinator remembers."""
WAIT_S = 55
"""Longest a reply is held back: below the minute at which middleboxes drop idle connections."""

# --- blocks --------------------------------------------------------------------------------------
BLOCK_BYTES = 131_072
"""One sealed block; 4096 points of incompressible doubles are 37 kB."""
BLOCK_POINTS = 4_096
"""Readings in one block before it seals."""
CHANNELS = 1_024
"""Channels of one schema."""
BLOCK_INFLATED_BYTES = 1_048_576
"""A block after its entropy stage: stops decompression bombs."""
BLOCK_CELLS = 65_536
"""Rows x columns a block may declare: a constant column costs no wire but memory here."""
BLOCK_GROUPS = 1_024
"""Poll groups in one block; no agent has more than channels."""
SCHEMA_BYTES = 131_072
"""One channel list: CHANNELS x two names of 40 characters, a unit and a kind."""
UNIT_CHARS = 24
"""A unit's text; the longest UCUM units in device profiles are about 12."""
STICK_PIECE_BYTES = 1_000_000
"""One piece of a file on a stick: with its seal it fits into a parcel."""
STICK_FILES = 32
"""Files that one stick to an agent carries; the rest comes with the next one."""
DEVICES_PER_REPORT = 16
"""Devices that a report says something of by name, some 15 bytes each, and 60 at most."""
