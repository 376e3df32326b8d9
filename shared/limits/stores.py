"""Bounds of the agent's stores and of the runtime beneath both programs."""

from shared.limits.sync import BLOCK_POINTS, BLOCKS_PER_REPORT, LEDGER_PER_REPORT

# --- stores --------------------------------------------------------------------------------------
WRITER_BATCH = 256
"""Transactions grouped into one commit; bounds the time a single fsync keeps callers waiting."""
WRITER_QUEUE = 4_096
"""Transactions waiting for the writer before callers are told to slow down."""
DB_PAGE_BYTES = 4_096
"""Default page of a database; 1024 halves what small commits write to an SD card."""
DB_CACHE_BYTES = 1_048_576
"""Page cache of one connection: small beside the smallest gateway's 64 MB."""
DB_CHECKPOINT_BYTES = 1_048_576
"""Write-ahead log before it is folded back; the file is then overwritten, never truncated."""
DB_BUSY_MS = 5_000
"""Wait for another process's lock (a backup, a checkpoint) before the commit is given up."""
DB_STATEMENTS = 256
"""Prepared statements kept by one connection; more than any store names."""
DB_CORRUPT_KEPT = 3
"""Damaged databases kept aside for a later look; the oldest beyond makes room on small flash."""
JOURNAL_BYTES = 8_388_608
"""The tmpfs journal of readings that are not committed yet."""
JOURNAL_FILES = 32
"""Journals read at a start; one process leaves one, so more of them means many lost starts."""
COMMIT_POINTS = 4 * BLOCK_POINTS
"""Open readings that are committed before their interval is over: about a megabyte of memory."""
BATCH_CELLS = 2 * BLOCK_POINTS
"""Cells and time stamps of one block: the worst of them, 14 bytes each, stay below BLOCK_BYTES."""
WAITING_BLOCKS = BLOCKS_PER_REPORT
"""Blocks of one kind (urgent, oldest, newest) that are looked at for one contact."""
PENDING_REPLIES = 64
"""Replies whose frees wait for the next commit of readings."""
LEDGER_PAGE = 4 * LEDGER_PER_REPORT
"""Loss-ledger rows looked at for one contact; those of one reason that was not shown yet merge."""
LOSSES_KEPT = 256
"""Newest acknowledged rows of it that are kept for a coordinator that comes back from a copy."""
ANCHORS_KEPT = 32
"""True times of boots that no report could tell yet: each needed an answered contact of its own."""
GIVEN_BACK_PER_COMMIT = 512
"""Pages that one commit returns to a file system that runs short: half a megabyte."""
DISK_WRITE_BUDGET_MB = 1_000_000
"""Highest daily budget of flash writes; a terabyte is no limit any more."""
THINNED_PER_COMMIT = 16
"""Old blocks that one commit thins to make room, at 20 to 40 ms each: ten times what comes in."""
QUARANTINE_BLOCKS = 64
"""Rejected blocks kept for a later look; all of them are in the loss ledger."""
SCHEMAS_KEPT = 64
"""Schemas kept although no stored block needs them: a coordinator may ask again."""
PAGE_ITEMS = 500
"""Items of one page of a REST list."""
READINGS = 100_000
"""Readings of one answer: about 5 MB of JSON, and as many points as a chart can use."""

# --- runtime -------------------------------------------------------------------------------------
RESTART_INITIAL_S = 1
"""Ceiling of the first wait before a crashed service is started again."""
RESTART_MAX_S = 60
"""Ceiling of every later wait, and how long a service must run for its failures to be forgotten."""
LOG_FIELD_CHARS = 2_048
"""One field of a log line; peers choose some of them."""
LOG_TRACE_CHARS = 16_384
"""A traceback's end, where the cause stands."""

# --- artifacts on a gateway ----------------------------------------------------------------------
SHELF_BYTES = 536_870_912
"""Files that jobs name, on a gateway: two of the largest, and what came before them."""
SHELF_FREE_BYTES = 67_108_864
"""Left free on the disk when a file is fetched: readings and updates of the system need it."""
SHELF_SYNC_BYTES = 262_144
"""A download is made durable this often: what a power cut may take of it."""
SHELF_WANTS = 64
"""Files that are fetched for open jobs, one after the other; the rest when these are here."""
PIECE_BYTES = 1_048_576
"""Most that one request for a file asks for."""
PIECE_LEAST_BYTES = 16_384
"""Least that is worth a request: its header and the answer's have some 700 bytes."""
PIECE_S = 10
"""A request asks for about as much as the line carries in this time: contacts wait no longer."""
PIECE_MOST_S = 600
"""Longest that one piece may take: beyond it the peer only drips."""
FETCH_RETRY_S = 5
"""Ceiling of the first wait after a request for a file that brought nothing."""
FETCH_RETRY_MAX_S = 900
"""Ceiling of every later wait."""
FETCH_PUT_OFF_S = 60
"""Ceiling of the first wait after the disk failed, or after a whole file came altered."""
FETCH_ALTERED_MAX_S = 86_400
"""Ceiling of every later wait for a file that came altered over the line alone: each try costs all
of it, and only a person mends what the coordinator has."""

# --- files shared between the gateways of one site -----------------------------------------------
SHARE_LEAST_BYTES = 65_536
"""Smaller files are not worth the seconds in which neighbours are looked for."""
SHARE_RECORD_BYTES = 16_384
"""Bytes sealed together: what a broken connection takes with it."""
SHARE_NEIGHBOURS = 16
"""Gateways of a site that are asked; a site has two or three, an attacker on its LAN any number."""
SHARE_CONNECTIONS = 8
"""Connections that a gateway serves at once: each costs it some kilobytes of memory."""
SHARE_BYTES_PER_S = 4_194_304
"""What a gateway serves its neighbours, all together: readings and flash come first."""
SHARE_REQUEST_BYTES = 2_048
"""Head of a request."""
SHARE_REQUEST_S = 10
"""For a request to come whole, and for a neighbour to say how far it is."""
SHARE_REFUSED_S = 1
"""A connection whose request was refused counts for so long among those that are served: who tries
keys has `SHARE_CONNECTIONS` tries a second, of 2 to the power of 256."""
SHARE_OFFER_MS = 86_400_000
"""A file that came is offered for a day: a rollout reaches a site's gateways within it."""
SHARE_SETTLE_MS = 3_000
"""Before anything is pulled over a link that costs, neighbours have had this long to answer."""
SHARE_JITTER_MS = 2_000
"""Added to it, drawn at random."""
SHARE_LOOK_MS = 1_000
"""Between two looks at a neighbour that pulls; nobody looks while no file is wanted."""
SHARE_STALL_MS = 30_000
"""A neighbour that pulls and got nothing in this time is not waited for any longer."""
SHARE_ASIDE_MS = 3_600_000
"""How long a neighbour that broke its word is left alone."""
SHARE_WAIT_MS = 900_000
"""Longest that a file waits for neighbours altogether without growing here."""
SHARE_SLOW_LOOK_MS = 60_000
"""While the line here is shut, neighbours are asked this often whether one has the file."""
SHARE_ADDRESSES = 8
"""Addresses of this machine at which files are offered; more are containers' and tests'."""
SHARE_STAND_MS = 300_000
"""While files are offered, this often it is looked where this machine stands on the LAN."""
SHARE_PIECE_S = 60
"""Longest that a neighbour may take for one piece: a LAN carries it in a second."""
