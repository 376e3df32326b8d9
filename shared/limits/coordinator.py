"""Bounds of the coordinator: requests, people, what it keeps."""

REST_BODY_BYTES = 65_536
"""A REST request's body: four times SPEC_BYTES, since JSON is wordier than what is signed."""
TOKEN_SCOPES = 32
"""Roles and scopes of one token; there are about as many scopes."""
REST_WAITING = 1_024
"""REST requests that wait for a change; more are answered at once."""
SCHEMAS_WANTED = 64
"""Channel lists asked for in one reply: 8 bytes each."""
KEYS_REMEMBERED = 131_072
"""Public keys of agents kept at hand, some 200 bytes each: one look less into the database."""
READ_AT_ONCE_BYTES = 1_024
"""Of a block or channel list that is read in less time than a thread takes to begin."""
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
ORDINALS = 1_024
"""Boots, and telemetry stores, of an agent that are counted in the order of their arrival; those
beyond it are all alike the last: a gateway that starts once a day has so many in three years."""
RETIME_BLOCKS = 256
"""Stored blocks placed again in one transaction: some milliseconds, contacts go in between."""
RETIME_BOOTS = 32
"""Boots looked at in one such transaction."""
RETIME_TURNS = 16
"""Such transactions in a row while blocks wait to be rolled up, whose turn it is then."""
RETIME_ORDERS = 16_384
"""Blocks of an agent that wait to be rolled up; as long as there are so many, none is placed again,
which would make two of one. Some 100 bytes each."""
ROLLUP_AGENTS = 64
"""Agents that are rolled up together; then it is the next ones' turn."""
ROLLUP_ORDERS = 128
"""Blocks rolled up together: those of an agent's hour share most of its minutes; 16 MB at most."""
ROLLUP_HOURS = 512
"""Hours computed together, about a second: an agent with more goes on when it is its turn again."""
ROLLUP_HOUR_CHANNELS = 32
"""So many channels more make an hour count once more among them."""
ROLLUP_KNOWN_CHANNELS = 1_024
"""So many channels more that an agent ever had do so, too: each is looked up."""
ROLLUP_CHANNELS = 65_536
"""Channels of an agent that have minutes and hours: 256 of each device that it may have."""
ROLLUP_CHANNEL_BYTES = 16
"""What one of them counts in the room of ROLLUP_BYTES, for all hours of its agent together."""
ROLLUP_NEAR = 32
"""Numbers of channels so near to each other are looked up together."""
ROLLUP_BYTES = 2_097_152
"""Stored blocks in memory that some hours are computed from, and the rows they are merged into; one
hour's blocks go on in such pieces."""
ROLLUP_CELLS = 131_072
"""Readings of these that stay decoded, so that each block is decoded once: some 10 MB."""
BACKGROUND_NICE = 2
"""How much further back than contacts stands what rollups and retention compute (POSIX nice)."""
ROLLUP_SERIES = 512
"""Channels' hours written in one transaction, two rows each, and one agent's hour at least: some
milliseconds, then contacts go in between."""
QUOTA_HOUR_BYTES = 64
"""What an hour that a block has readings in counts at least: its minutes and its day's hours are
rows, whatever few bytes the block has."""
QUOTA_READING_BYTES = 2
"""What a reading counts at least: a steady column costs no wire, but rows of its minutes too."""
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
ARTIFACT_BYTES = 268_435_456
"""One artifact: firmware has kilobytes to megabytes, a whole agent with its wheels some 60 MB."""
ARTIFACTS_BYTES = 17_179_869_184
"""All artifacts of a coordinator, announced ones included: 16 GB of its disk."""
ARTIFACTS = 10_000
"""Artifacts of a coordinator; a release a day lasts 27 years."""
ARTIFACT_NAME_CHARS = 200
"""A file's name, or its version, as people gave it."""
ARTIFACT_ABANDONED_MS = 604_800_000
"""An upload that nobody went on with for a week makes room."""
ARTIFACT_CHUNK_BYTES = 262_144
"""Read from or written to the disk at a time: one hop to a thread for each."""
ROLLOUT_STAGES = 32
"""Stages of one rollout; people plan a handful."""
ROLLOUT_STRATA = 256
"""Combinations of labels that a stratified stage holds for sure."""
ROLLOUT_KEYS = 4
"""Labels that one stage is stratified by."""
ROLLOUT_CRITERIA = 8
"""Criteria that stop one rollout."""
ROLLOUT_POLICY_BYTES = 16_384
"""One rollout's policy, and its progress, as they are stored: all stages with long names."""
ROLLOUT_EVENTS = 4_096
"""Changes of executions folded in one transaction: some ten milliseconds."""
ROLLOUT_RELEASES = 1_024
"""Executions released in one transaction: contacts go in between."""
ROLLOUT_LOOK_S = 30
"""Longest sleep of the dispatcher: the wall clock may be set, another replica may have written."""
RECORD_BYTES = 4_096
"""One record of TLS on its way to a gateway: what a cut line costs beyond what it carried."""
HINT_BYTES = 7_999
"""PostgreSQL's own bound of what one NOTIFY carries."""
HINT_KEYS = 64
"""Agents and jobs of one hint: 64 of each are 5 kB at most."""
HINT_KEYS_WAITING = 4_096
"""Agents and jobs noted for the next hints; beyond it everybody is told to look."""
HINT_MS = 20
"""Between two hints of a replica: those of a busy one are told together."""
HINT_SELDOM_S = 1
"""Between two hints that readings came: rollups may be a second late."""
HINT_PROBE_S = 10
"""A replica that has nothing to say for so long asks whether the others can still be reached."""
HINT_ANSWER_S = 5
"""Silence of the database after which a replica's line to the others is made anew."""
DRAIN_MOST_S = 600
"""Longest that a coordinator that is told to stop goes on, for load balancers that look seldom."""
LEASE_S = 15
"""Work that a process took and went silent in is taken by another one after this time."""
EVENTS_SCANNED = 20_000
"""Events looked at for one answer; a filter that finds nothing must end all the same."""
EVENTS_KEPT = 2_000_000
"""Events kept, whatever their age: some 400 MB; a fleet of 10,000 with five a day each: 40 days."""
EVENT_STREAMS = 64
"""Listeners of one process; each costs a connection and at most a page in memory."""
EVENT_PAGE = 100
"""Events sent in one piece to a listener: some 40 kB."""
EVENT_LOOK_MS = 500
"""Between two looks for events of other processes while somebody listens; own ones ring."""
EVENT_HELD_MS = 20
"""To the first look for an event that a slower transaction holds back; then twice as long."""
EVENT_BEAT_S = 15
"""A stream that has nothing to say says so: proxies close what is silent for a minute."""
EVENT_WRITE_S = 20
"""A listener that takes nothing for so long is cut; 2G stalls for 20 s during a handover."""
EVENT_STREAM_S = 21_600
"""A stream ends after 6 hours, and is asked for again: by another token, of another replica."""
TELLER_LOOK_S = 15
"""Longest sleep of who tells ends of jobs and silence of agents: nobody rings for silence."""
TELLER_ROWS = 1_000
"""Events, or silent agents, dealt with in one transaction."""
QUICK_HEAD_BYTES = 2_048
"""A contact's request line and headers, as an agent or a proxy writes them."""
QUICK_BODY_BYTES = 65_536
"""A contact that is taken in as one piece; a larger one is read while the line brings the rest."""
CONTACTS_AT_ONCE = 4
"""Of one agent, taken in one after the other: one on a new line, the rest of broken ones."""
CROWDED_S = 1.0
"""Until a contact that is too many is told so: a flood's connections have to wait as long."""
CROWDED_PAUSED = 64
"""Of one agent that wait to be turned away: a body of 64 kB each at most, or one in a stream."""
TAKEN_LOOK_S = 1.0
"""Until a scheduler looks again for what another one is at: it may be killed meanwhile."""
FLEET_CACHE_BYTES = 16_777_216
"""Page cache of the coordinator's writer: the paths into the rows of 100,000 agents."""
FLEET_CHECKPOINT_BYTES = 8_388_608
"""The coordinator's log before it is folded back: a page that many contacts change goes once."""
SOURCE_FAILURES = 100
"""Contacts of one address that fail their check at once: a site whose gateways were all revoked."""
SOURCE_FAILURES_PER_S = 5.0
"""As many more each second: a thousandth of a core."""
SOURCES_WATCHED = 16_384
"""Addresses whose contacts failed, some 300 bytes each."""
WISHES = 1_024
"""Comparisons of an agent's devices that are kept: four for each device that it may have."""
DEVICES_SEEN = 2_048
"""Devices an agent was heard to have: eight times as many as it may have at once, for their names
change over the years; what is beyond is told nobody as a new one."""
FACTS_SHOWN = 2_000
"""Receipts of one execution in one answer, the newest: all of its devices, tried a few times."""
TASKS_LISTED = 16_384
"""Devices' tasks in one page of executions: what goes beyond it comes with the next page."""
MISSING_NAMED = 100
"""Devices of a group that a count of compliance names; `GET /v1/drift` has all of them."""
MENDING_JOBS = 16
"""Jobs looked at for who mended a device: the newest that did something there."""
CROWDED_REST = 3
"""Of one agent with several contacts inside: rest after each turn, in times that the turn took."""
CROWDED_REST_S = 0.25
"""Longest rest: a turn that waited for the disk is no reason to stand still."""
DEADLINE_BATCH = 64
"""Jobs whose time is over that are settled at once: a replica that dies at it leaves them whole."""
RELEASES_LOOKED_AT = 512
"""Agents of one job whose devices are asked for by what they run: one short query each."""
GC_OBJECTS = 50_000
"""More of them at once than contacts and rollups in work have: what cycles hold is some 10 MB."""
DEVICE_WORDS_READ = 5_000
"""Devices of a fleet that are read at once where a job is aimed at what they are."""
