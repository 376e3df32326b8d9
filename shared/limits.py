"""Every bound of the system, each with its reason; import-time asserts relate them to each other.

A size that is not here is not bounded, and that is a defect. Grouped by the layer that enforces.
"""

# --- wire: what is refused before it is parsed -------------------------------------------------
DOCUMENT_BYTES = 262_144
"""A control document (root, bundle); a bundle for a large gateway is about 30 kB."""
REPORT_BYTES = 12_288
"""An agent's signed report: 200 bytes as a rule, and the announcements of a whole body's blocks
when a backlog goes up; small enough to be kept, resent and hashed at each contact."""
BODY_BYTES_UP = 1_048_576
"""One contact's request on an unmetered link; 64 kB is the agent's own choice on metered ones."""
BODY_BYTES_DOWN = 524_288
"""One contact's answer: a reply and at most one bundle."""
BODY_PARTS = 4_096
"""Parts of a contact's body; each is at least a few bytes, so this caps the work per body."""
ITEMS_PER_ARRAY = 4_096
"""Elements of one msgpack array: nested headers cost memory before they cost bytes."""
ITEMS_PER_MAP = 256
"""Entries of one msgpack map; control documents use arrays, maps only for parameters."""
TEXT_BYTES = 4_096
"""One string on the wire; names and details are far shorter."""
ITEMS = 65_536
"""Values of one document, however nested: an empty map is one byte on the wire and 64 in memory."""
DEPTH = 16
"""Nesting of one document; ours use seven."""
INT_MAX = (1 << 53) - 1
"""Integers in control documents: exact in JSON and in SQLite."""

# --- trust --------------------------------------------------------------------------------------
SIGNATURES = 16
"""Signatures on one document; the largest role is a threshold of a few people."""
STANDING_BYTES = 245_760
"""Every root document of a fleet, its catalog and its policy: one answer may have to bring all."""
ROOTS = 256
"""Root documents of a fleet; a key set that changes each month lasts for twenty years."""
KEYS_IN_ROOT = 64
"""Keys named by a root document."""
CLAIM_COUNT = 10_000
"""Agents one claim file may enrol."""
ENROLMENTS = 256
"""Keys without a claim that wait for a person: more is nobody's working day, but somebody's flood.
"""
ENROLMENTS_PER_ADDRESS = 32
"""Of these from one address; a site behind one router has fewer gateways."""
ENROLMENTS_PER_MINUTE = 16
"""New ones a minute: each costs a durable write, and anybody can ask."""
ENROLMENTS_EXPECTED = 10_000
"""Fingerprints registered beforehand: as many as one claim may let in."""
ENVELOPE_ITEMS = 5 + 3 * SIGNATURES
"""Values of an envelope: all that is parsed of a document before anybody vouched for it."""
CATALOG_ACTIONS = 128
"""Actions a catalog allows; the product has a dozen."""
ACTION_PARAMETERS = 64
"""Parameters one action takes, or configuration settings a catalog opens."""
CATALOG_FILES = 1_024
"""Scripts, firmware images or agent releases a catalog names, each."""
ENDPOINTS = 64
"""Coordinators a configuration may point an agent at."""
APPROVERS = 128
"""Keys of people who may approve; ten times the control room of a large utility."""
CLASSES = 64
"""Job classes of a policy; people tell apart a handful."""
PERSON_CHARS = 128
"""A user's name as the coordinator knows it; people's e-mail addresses have about 40."""
APPROVALS_PER_GRANT = 16
"""Approvals beside one job; the highest threshold anybody asks for is a few."""
APPROVAL_BYTES = 4_096
"""One approval: a few hashes, a selector and a signature."""
APPROVED_EXECUTIONS = 1_024
"""Executions of one approved job on one agent: an agent remembers each while the approval lasts."""
DRIFT_PPM = 500
"""How much faster than real time a gateway's counter may run: five times the worst crystal."""
POWERED_SAVE_MS = 3_600_000
"""Time kept is saved this often; a boot counts as this much silence, for nobody knows how long the
boot before it lasted after its last save."""
GRACE_S = 63_244_800
"""Two years: the longest an agent may act on its own without hearing from its coordinator."""
COUNTER_SLOT_BYTES = 512
"""One slot of the counters' file: one sector, which a disk writes whole or not at all."""
COUNTER_STRIDE_BYTES = 4_096
"""Distance of the two slots: they never share a flash page, so a torn write spoils one."""

# --- sync ---------------------------------------------------------------------------------------
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
CARRIED_REMEMBERED = 256
"""Carried reports of which an agent knows when it made them; older ones still deliver."""
CARRIED_BUNDLE_S = 2_592_000
"""A bundle on a stick is admitted within a month of its signing: somebody has to drive there."""
RANGES = 256
"""Separate acknowledged ranges kept per agent and store epoch before the newest are refused."""
WAIT_S = 55
"""Longest a reply is held back: below the minute at which middleboxes drop idle connections."""

# --- blocks -------------------------------------------------------------------------------------
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

# --- jobs ---------------------------------------------------------------------------------------
SPEC_BYTES = 16_384
"""One job specification."""
STEPS = 32
"""Steps of one job."""
CANCELS_PER_BUNDLE = 256
"""Executions called off at once: 5 kB of a bundle; what is beyond comes in the next one."""
GRANTS_PER_BUNDLE = 64
"""Executions signed into one bundle; more wait for the next contact."""
TASKS_PER_EXECUTION = 256
"""Devices one execution may touch on one agent (an RS-485 segment holds 247 slaves)."""
RESULT_BYTES = 1_024
"""One task's result in a receipt, so that a receipt always fits into a report."""
CRASHES = 3
"""A task that took the process down this often is quarantined and the next one goes on."""
ATTEMPTS = 1_000
"""Attempts of one task, over months of retries."""
DELAY_S = 31_622_400
"""One year and a day: longer plans belong to schedules."""
COURSE_BYTES = 4_096
"""What one task remembers of its steps' results; written with each step of it."""
STEP_RETRIES = 10
"""Further tries of one step within one attempt; patience belongs to the job's own retries."""
PRECONDITIONS = 16
"""Conditions for one job's beginning."""
PRECONDITION_MS = 300_000
"""A precondition that does not hold is looked at again after this."""
COUNTED_MISSES = 10_000
"""Firings that a gap swallowed are counted up to here: a year of hourly ones."""
FIRED_RUNS = 64
"""Runs of nominal times that fired, of one schedule: a new one after each outage."""
FIRED_REMEMBERED = 512
"""Nominal times of one schedule that are known to have fired, should the clock go back."""
TALES = 10_000
"""Pieces of history of standing jobs that wait for a report: about 1 MB on an agent's flash."""
CONFIG_POINTS = 64
"""Points of one configuration that is read, compared or put back: what a step's time allows."""
CONFIG_BYTES_KEPT = 4_096
"""One of them as it is kept: CONFIG_POINTS names of 40 characters with their values fit."""
CONFIGS_KEPT = 32
"""Configurations kept of one device, the newest: those of its last jobs, and the named ones."""
RESTORE_RETRY_S = 60
"""First pause before a temporary value that could not be put back is tried again; it doubles."""
RESTORE_RETRY_MAX_S = 3_600
"""Longest such pause: a device that was switched off is set right within the hour."""
RESTORES = 256
"""Temporary values that are put back in one look."""
WRITE_INTERVAL_S = 7 * 86_400
"""Longest pause between two writes that a profile may ask for."""
PULSE_MS = 10_000
"""Longest pulse of a call: the bus is free meanwhile, the device's lane is not."""
EXECUTIONS_KEPT_LEAST = 100
"""Finished executions that no cleanup forgets: a grant that comes again must find them."""
SCRIPT_BYTES = 65_536
"""One script: it is read whole, so that the bytes that were checked are those that run."""
SCRIPT_S = 300
"""Longest time of one script, of the processor too."""
SCRIPT_MEMORY_BYTES = 134_217_728
"""Address space of one script: a shell and its tools, on a gateway with 256 MB."""
SCRIPT_FILE_BYTES = 1_048_576
"""Longest file a script may write."""
SCRIPT_SAYS_BYTES = 1_048_576
"""A script that says more is stopped."""
SCRIPT_OUTPUT_BYTES = 512
"""The beginning of its output, as a receipt carries it."""
TRIALS_REMEMBERED = 16
"""Changes of settings that were rolled back, remembered so that their steps learn of it."""
TRIAL_STARTS = 3
"""Processes that may begin under settings on trial: a loop of crashes ends after them."""
TRIAL_LOOK_S = 1
"""Between two looks at whether settings on trial work."""
TRIAL_S = 86_400
"""Longest trial: a site that calls once a day can confirm a change of its link."""
RESTARTS_KEPT = 64
"""Restarts that were asked for, remembered until the step that asked has seen them."""
SUPPORT_BYTES = 262_144
"""One support bundle: the status of DEVICES devices and LOG_TAIL_LINES lines fit."""
SUPPORT_KEPT = 3
"""Support bundles kept on a gateway, the newest."""
LOG_TAIL_LINES = 200
"""Log lines remembered for a support bundle: about 40 kB of memory."""
LOG_TAIL_CHARS = 500
"""One of them; tracebacks are cut."""
CALLS = 64
"""Calls of one profile."""
SITE_LOCK_S = 7 * 86_400
"""Longest lock of a site: what somebody forgot to open again opens itself."""
STANDING_JOBS = 256
"""Schedules and rules on one agent."""
STANDING_LOOK_MS = 3_600_000
"""A schedule is looked at this often at least: timers stand still in suspend."""
SAFE_STOP_S = 5
"""How long an effect that must not be cut is waited for when the agent stops."""
PRIORITIES = 4
"""Levels of priority in an agent's queue: one index seek each."""
FIRINGS_PER_DAY = 1_440
"""Firings of one rule in a day: once a minute is no rule any more, it is a poll."""
STEP_TIMEOUT_S = 86_400
"""One step of one task; the slowest firmware transfer at 1200 baud takes hours, not days."""
SELECTOR_CHARS = 1_024
"""One label selector; people write a few dozen characters."""
CONDITION_CHARS = 1_000
"""One condition; people write a line or two."""
CONDITION_TOKENS = 256
"""Numbers, names and signs of one condition: evaluating it takes some hundred microseconds."""
CONDITION_DEPTH = 16
"""Parentheses within parentheses: what a person can still read, and no stack can overflow."""
CRON_CHARS = 100
"""One cron expression."""
INTERVAL_MIN_S = 1
"""Shortest period of a standing job; what is faster is a poll."""
CATCHUP = 10
"""Firings that are made up after a gap: never a year of them in a loop."""
ON_TIME_MS = 60_000
"""A nominal time that passed less than this ago is on time, not missed: reboots take that long."""
JITTER_S = 86_400
"""How far firings of a fleet may be spread, and how late one may be to share a wake-up."""
WINDOW_S = 7 * 86_400
"""Longest maintenance window."""
QUEUE_TASKS = 10_000
"""Tasks waiting on one agent; a bundle that would exceed it is admitted later."""
DETAIL_CHARS = 200
"""One receipt's text for people: a sentence, at most 800 bytes of it."""
WORKERS = 32
"""Attempts at once on one agent: more only wait for each other on its buses."""
EXECUTIONS_KEPT = 1_000
"""Finished and acknowledged executions an agent remembers, so that a repeated grant is a no-op."""

# --- devices ------------------------------------------------------------------------------------
FRAME_BYTES = 260
"""A Modbus TCP frame: 7 bytes MBAP + 253 bytes PDU (Modbus Application Protocol V1.1b3, 4.1)."""
MODBUS_REGISTERS = 125
"""Registers one request may read (V1.1b3, 6.3): the answer's byte count is one byte of a frame."""
MODBUS_BITS = 2_000
"""Coils or discrete inputs one request may read (V1.1b3, 6.1)."""
SILENCE_MS = 10_000
"""Pause a slow device may ask for before each request; more is a broken device."""
SCALE_DIGITS = 20
"""Significant digits of a scale, an offset or a limit: as many as a 64-bit register has."""
SCALE_EXPONENT = 20
"""Power of ten of the same, either way; from atto to exa is every SI prefix in use."""
READ_PLANS = 64
"""Sets of points a driver keeps the merged requests of; a device has a handful of poll groups."""
BUS_WAITING = 1_024
"""Exchanges that wait for one port: four for each of its DEVICES."""
BUS_CONNECT_MS = 5_000
"""Longest a port on the network may take to open; three SYNs fit."""
BUS_RETRY_INITIAL_MS = 500
"""First pause before a poll tries a lost port again; a command always tries."""
BUS_RETRY_MAX_MS = 15_000
"""Longest such pause: how long after a re-plug acquisition may still be waiting."""
BUS_SILENT_EXCHANGES = 3
"""Silent exchanges in a row after which a network connection is taken for dead and made anew."""
POINTS = 512
"""Points of one profile."""
PROFILE_BYTES = 262_144
"""A profile's text; the largest SunSpec model is far below."""
DEVICES = 256
"""Devices of one agent."""
BUSES = 32
"""Ports of one agent."""
CONFIG_BYTES = 262_144
"""A local configuration's text."""
LABELS = 32
"""Labels an operator gives to one agent or one device."""
JUDGING_MAX_MS = 604_800_000
"""Longest heartbeat or interval of an aggregate: a week without a reading is a lost sensor."""
URGENT_GAP_MS = 30_000
"""Least time between two urgent blocks of one device: a flapping alarm must not eat the budget."""
SOON_MS = 60_000
"""Longest that a reading of priority 1 waits before it is sealed."""
POLL_MIN_MS = 100
"""Shortest poll interval: one exchange at 9600 baud takes about as long."""
POLL_MAX_MS = 86_400_000
"""Longest poll interval: a day."""
SYNC_MIN_MS = 1_000
"""Shortest time between two contacts: below it a held contact (`long_poll`) is cheaper."""
SYNC_MAX_MS = 604_800_000
"""Longest time between two contacts: a week without a sign of life is a lost site."""
DATA_BUDGET_MIN_KB = 10
"""Least a link may be allowed a day: four contacts, one for a sign of life and three for alarms."""
DATA_BUDGET_KB = 1_000_000_000
"""Most a link may be allowed a month: a terabyte; more is a slip of the pen."""
COMMIT_MIN_MS = 1_000
"""Shortest time between two commits of readings: each writes at least three pages of flash."""
COMMIT_MAX_MS = 3_600_000
"""Longest time between two commits of readings: a power cut takes that much."""
STORAGE_MIN_BYTES = 1 << 20
"""Least room for readings that wait: a few hundred blocks beside what SQLite itself needs."""
STORAGE_MAX_BYTES = 1 << 40
"""Most room for readings that wait; larger is a slip of the pen."""
DEGRADE_AFTER = 2
"""Failed polls in a row before a device that does not answer is asked rarely: each holds the port
for its whole timeout while its neighbours wait."""
DEGRADE_FIRST_MS = 60_000
"""First pause of such a device; it doubles with every probe that fails."""
DEGRADE_MAX_MS = 600_000
"""Longest pause: a repaired device is back within ten minutes."""
RESPONSE_TIMEOUT_MAX_MS = 30_000
"""Longest wait for a device's answer: the port is held meanwhile and every neighbour waits."""
PATIENCE_MIN_MS = 100
"""Shortest learned wait for an answer: below it an adapter's own latency is taken for silence."""
PATIENCE_MAX_MS = 3_000
"""Longest learned wait: slower devices need `response_timeout_ms` from who knows them."""
BUS_UTILISATION = 0.9
"""Most of a port's time that polls may be planned for; the rest is for repeats and commands."""
PROBE_SHARE = 25
"""A probe that holds up living devices is followed by this many times its length without another:
4 % of a port's time, so that they keep 95 % of their rate however many neighbours are dead."""
BUS_RETRIES = 5
"""Repeats of one request before a device counts as silent; each holds the port again."""

# --- stores -------------------------------------------------------------------------------------
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

# --- coordinator ---------------------------------------------------------------------------------
REST_BODY_BYTES = 65_536
"""A REST request's body: four times SPEC_BYTES, since JSON is wordier than what is signed."""
TOKEN_SCOPES = 32
"""Roles and scopes of one token; there are about as many scopes."""
REST_WAITING = 1_024
"""REST requests that wait for a change; more are answered at once."""
SCHEMAS_WANTED = 64
"""Channel lists asked for in one reply: 8 bytes each."""
BLOCKS_ASIDE = 64
"""Conflicting blocks kept of one agent for a person to look at."""
READING_BLOCKS = 32
"""Blocks fetched at a time while readings are collected: at most 4 MB in memory."""
BLOCKS_APART = 4_096
"""Contradicting blocks kept of one agent in quarantine; what is beyond it stays with the agent."""
RETENTION_ROWS = 64
"""Rows taken away in one transaction: some milliseconds, contacts go in between."""
EXPORT_BLOCKS = 8
"""Blocks decoded at a time for a file: some ten thousand rows in memory."""
EXPORT_ROW_GROUP = 65_536
"""Rows of one group of a Parquet file: a few megabytes, as its readers like them."""
READING_KEYS = 512
"""Keys of blocks read at a time while those of other agents are passed over."""
PAGE_POINTS = 10_000
"""Points of one series that a chart may ask for; screens have a few thousand columns."""
READING_BLOCKS_SCANNED = 4_096
"""Blocks looked at for one answer; a filter that finds nothing must end all the same."""
BLOCK_SPAN_MS = 86_400_000
"""Most blocks span less than a day; longer ones are looked up by an index of their own."""
ANCHORS_PER_BOOT = 64
"""True times kept of one boot; one is enough, more only take out the drift of its counter."""
RETIME_BLOCKS = 256
"""Stored blocks placed again in one transaction: some milliseconds, contacts go in between."""
ROLLUP_ORDERS = 32
"""Blocks of one agent rolled up together: those of an hour share most of its minutes."""
FIRINGS_KEPT = 10_000
"""Pieces of history of one standing job on one agent that the coordinator keeps, the newest."""
JOB_EXPIRES_S = 2_592_000
"""30 days until a job must have begun, when nobody says otherwise."""
BUNDLE_S = 604_800
"""A bundle is admitted within a week of its signing; the next contact signs a fresh one."""
IDEMPOTENCY_S = 86_400
"""An Idempotency-Key is remembered for a day."""
CONTACT_IDLE_S = 30
"""Silence within a request's body before it is given up; 2G stalls for 20 s during a handover."""
DRAIN_S = 10
"""Requests in work get this long when the coordinator is told to stop."""

# --- runtime ------------------------------------------------------------------------------------
RESTART_INITIAL_S = 1
"""Ceiling of the first wait before a crashed service is started again."""
RESTART_MAX_S = 60
"""Ceiling of every later wait, and how long a service must run for its failures to be forgotten."""
LOG_FIELD_CHARS = 2_048
"""One field of a log line; peers choose some of them."""
LOG_TRACE_CHARS = 16_384
"""A traceback's end, where the cause stands."""

# --- simulator ----------------------------------------------------------------------------------
SIM_UNITS = 247
"""Devices on one simulated line (Modbus over Serial Line V1.02, 2.2: addresses 1 to 247)."""
SIM_CONNECTIONS = 64
"""Masters connected to one simulated Modbus TCP port; real devices take four to sixteen."""
SIM_FAULTS = 32
"""Faults switched on at once in one simulated device."""
CONTROL_LINE_BYTES = 4_096
"""One line of a simulator's control socket."""
SIM_BOOTS = 1_000
"""Boots that a simulated board makes up for at once after a leap of its clock."""
SIM_SLOT_KB = 2_048
"""Largest image slot of a simulated board; microcontrollers have 128 kB to 1 MB."""
SIM_BUFFER_BYTES = 4_096
"""Largest request buffer of a simulated sensor node; Zephyr boards have 256 B to 4 kB."""
SIM_BUFFERS = 16
"""Most request buffers of a simulated sensor node; Zephyr's default is 4."""
SIM_FILES = 16
"""Files in the memory of a simulated sensor node."""
SIM_FILE_BYTES = 65_536
"""One of these files."""
SIM_FILE_NAME_CHARS = 64
"""Its name, as in a small board's file system."""
REPLAY_CELLS = 5_000_000
"""Numbers of one replayed CSV: 40 MB, a year of one-minute rows with nine columns."""
LEDGER_LINE_BYTES = 65_536
"""One line of a device's ledger; the longest lists 512 points."""
LEDGER_POLLS = 1_000_000
"""Poll times a ledger's summary keeps per unit and table: eleven days at one a second."""
LEDGER_WRITES = 100_000
"""Changes a ledger's summary keeps; a device written once a minute makes 70 days of them."""
LINK_CONNECTIONS = 1_024
"""Connections across one link proxy at once; each takes two descriptors."""
LINK_BUFFER_CHUNKS = 16
"""Chunks in flight per direction of a link proxy's connection, before the sender is held back."""
LINK_CHUNK_BYTES = 16_384
"""One chunk of a link proxy without a rate limit."""

assert 16 * MODBUS_REGISTERS <= MODBUS_BITS, "a register's room in an answer holds 16 bits"
assert BLOCKS_PER_REPORT * ANNOUNCED_BYTES + 512 < REPORT_BYTES, "they fit beside an account"
assert BLOCK_BYTES < BODY_BYTES_UP, "any block must fit into one contact"
assert STANDING_BYTES + DOCUMENT_BYTES + REPORT_BYTES < BODY_BYTES_DOWN, "all fits into one answer"
assert ROOTS + 4 <= BODY_PARTS, "any agent can be led to the newest root at once"
assert DOCUMENT_BYTES < BODY_BYTES_DOWN, "any bundle must fit into one answer"
assert COUNTER_SLOT_BYTES < COUNTER_STRIDE_BYTES, "the slots must not touch"
assert SPEC_BYTES < DOCUMENT_BYTES, "any single job must fit into one bundle"
assert RESULT_BYTES + 4 * DETAIL_CHARS < REPORT_BYTES // 2, "any receipt must fit into one report"
