"""Bounds of profiles, buses and drivers."""

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
IDENTITY_OBJECTS = 16
"""Objects of a maker's own that are kept of what a device says of itself."""
IDENTITY_CHARS = 100
"""One of a device's texts about itself; a receipt carries about ten of them."""
IDENTITY_PAGES = 64
"""Requests for what one device says of itself: half as many as there can be private objects."""
SMP_NAME_CHARS = 64
"""Name of a statistics group, a field or a setting: Zephyr's settings take 64 at most."""
SMP_PACKET_BYTES = 16_384
"""One SMP packet: four times the largest buffer that Zephyr's own samples configure."""
SMP_BUFFER_BYTES = 256
"""Taken for a device's buffer that does not tell its own: Zephyr's smallest usual one."""
SMP_DATAGRAM_BYTES = 1_472
"""One UDP datagram that no Ethernet cuts into pieces: 1500 less the headers of IP and UDP."""
SMP_WINDOW = 8
"""Requests on their way at once, however many buffers a device claims."""
SMP_BURST = 32
"""Pieces of an upload in one exchange: polls of neighbours wait no longer than these take."""
SMP_ERASE_MS = 30_000
"""Longest that the first piece of an image may take: the device erases a whole slot for it."""
UPLOAD_STALLS = 5
"""Times in a row that an upload may come to a halt without any progress."""
UPLOAD_BEGINNINGS = 16
"""Times that one upload may begin at all: a device that forgets again and again wears out."""
FIRMWARE_BYTES = 16_777_216
"""One image for a device: it is read whole, and no microcontroller has a larger slot."""
FIRMWARE_TLVS = 64
"""Entries of an image's trailer; MCUboot's signer writes three to ten."""
SMP_PIECE_MS = 3_000
"""Least wait for the answer to one piece of an image: erasing a 128 kB sector takes two seconds."""
SMP_HASH_MS = 10_000
"""Least wait for the hash of a file: a device reads all of it from its flash."""
SMP_BUFFER_LEAST_BYTES = 96
"""Least buffer that is believed: below it not even the first piece of an image fits."""
VERSION_CHARS = 40
"""Version of an image as a device shows it: 255.255.65535.4294967295 has 24."""
FIRMWARE_WAIT_S = 3_600
"""Longest wait of one stage of an update: after an hour of silence a device is gone."""
FIRMWARE_RELEASES = 4_096
"""Devices and images whose release an agent remembers, the newest: more than it ever has."""
FIRMWARE_LOOK_MS = 500
"""Between two looks at a device that starts or is on trial."""
FIRMWARE_MOVES = 32
"""Moves of one update: five lead from the first to the last, the rest are repeats."""
ASSERTIONS = 16
"""Assertions of one profile about a healthy device."""
FIRMWARE_IMAGES = 15
"""Highest number of an image: MCUboot's own build option goes to 16 of them."""
SMP_SAFE_BYTES = 182
"""A packet that two lines of a console carry: as much as Zephyr's default receives at once."""
PROFILE_MISTAKES = 50
"""Mistakes of one profile that are told at once: nobody mends more before looking again."""
WORDS = 32
"""Texts that one point can have for values: the states of a machine."""
WORD_CHARS = 32
"""One of these texts."""
HTTP_REQUESTS = 32
"""Requests of one profile; each polled one is a round trip."""
HTTP_PATH_CHARS = 500
"""Path and query of a request, and of a port; small servers take lines of 512 bytes."""
HTTP_POINTER_CHARS = 200
"""A JSON pointer of a profile."""
HTTP_BODY_SENT_BYTES = 2_048
"""Body of a request; small devices hold it in memory."""
HTTP_HEAD_BYTES = 8_192
"""Status and fields of a device's answer; what servers commonly allow for requests."""
HTTP_BODY_BYTES = 65_536
"""Body of a device's answer: the whole status of a large one is some 10 kB."""
HTTP_INTERIM = 4
"""Answers 1xx before the real one."""
HTTP_SECRET_BYTES = 1_024
"""A file with a name and a password, or a token."""
JSON_DEPTH = 32
"""Nesting of a device's JSON; deeper is an attack on the parser."""
CANDIDATES = 256
"""Devices that an agent found and remembers: as many as it can have attached."""
CANDIDATES_TOLD = 16
"""Of them in one receipt; a result holds about ten, and the others come with the next one."""
MEMBER_BYTES = 70
"""Of a result's member around its text: the step's id, the mark, and what frames them."""
CANDIDATE_CHARS = 40
"""One text of a candidate as it is remembered and told: serial numbers have up to 32."""
FOLLOWED_AT_ONCE = 4
"""Devices followed after one look: their words fit into its receipt; others come with the next."""
CANDIDATE_MISSES = 2
"""Looks in a row without an answer after which a candidate is lost: one frame can be."""
DISCOVERY_S = 3_600
"""Longest look: a whole bus of silent addresses among living devices takes 20 minutes."""
DISCOVERY_PROBES_PER_HOUR = 600
"""Addresses asked on one bus in an hour, unless the local file allows other: twice all of them."""
DISCOVERY_PROBES_MOST = 10_000
"""Most that a local file may allow."""
MDNS_SERVICES = 16
"""Kinds of services that are listened for at a time."""
MDNS_SIGHTINGS = 64
"""Announcements taken up in one look: a network full of liars fills no memory."""
LAST_PROBE_S = 10
"""After the time of a look: for the address that is being asked, and three seconds of listening."""
LINE_BYTES = 1_024
"""One line of a device that speaks text; NMEA 0183 has 82, loggers print a few hundred."""
LINE_REQUESTS = 32
"""Requests of one profile of such a device; each polled one holds the line once."""
LINE_TEXT_CHARS = 200
"""A request's template."""
LINE_FIELDS = 128
"""Fields of one line."""
LINE_ADDRESSES = 255
"""Highest address in a line of text: two hexadecimal digits."""
LINE_WAIT_MS = 60_000
"""Longest that a port is held for a sentence, or for a sensor that measures."""
SDI12_VALUES = 99
"""Values of one measurement (SDI-12 V1.4, 4.4)."""
MATCH_STARS = 3
"""Stars of one rule of a match: each may be tried at every letter of a text of 100."""
SUNSPEC_MODELS = 64
"""Models of one SunSpec map that are walked: a plant's controller has about thirty."""
SUNSPEC_DEPTH = 4
"""Groups within groups of a model's definition; volt-var curves have three."""
SUNSPEC_REGISTERS = 65_535
"""Of one model: its length is one register."""
SUNSPEC_FILES = 256
"""Definitions taken in at a time; the SunSpec Alliance publishes a hundred."""
DUMP_BYTES = 4_194_304
"""A file with registers of one device: all of a table at sixty letters a line."""
SNMP_ARCS = 128
"""Numbers of one OID (RFC 2578, 3.5)."""
SNMP_OIDS = 16
"""Objects of one request unless a profile says otherwise: their answer fits 484 bytes, which every
agent has to take (RFC 3417, 3.2)."""
SNMP_OIDS_MOST = 64
"""Most that a profile may ask for: their answer still fits one frame of Ethernet."""
SNMP_MESSAGE_BYTES = 8_192
"""One message that is believed; agents on small devices send 1,472 at most."""
SNMP_COMMUNITY_BYTES = 255
"""A community: SNMP-COMMUNITY-MIB's own bound (RFC 3584)."""
MQTT_TOPIC_CHARS = 200
"""One topic of a profile, with its slots filled; brokers take 65,535, boards some 250."""
MQTT_TOPICS = 1_024
"""Topics that one connection follows: four for each of its DEVICES."""
MQTT_PACKET_BYTES = 16_384
"""One packet that is read; what is larger, a camera's picture for one, is passed over unread."""
MQTT_WAIT_MS = 60_000
"""Longest that the first message of a topic is waited for."""
MQTT_STALE_S = 604_800
"""Longest that a message may be believed: a week without a word is a dead device."""
MQTT_COMMANDS = 32
"""Commands of one profile."""
FILE_PUT_BYTES = 1_048_576
"""A file that is put into a device: more than the file system of a small board has."""
FILE_TAKEN_BYTES = 120_000
"""A file that is read out of a device: it is brought as a support bundle is, compressed or not."""
FILE_PATH_CHARS = 64
"""Path of a file in a device: Zephyr's longest."""
FILE_PIECE_LEAST_BYTES = 16
"""A piece of a file is never shorter, however small a device's buffer is."""
SPLIT_PAUSE = 8
"""Most polls that pass before a refused read that no smaller piece helped is taken apart again."""
