"""Bounds of the simulator: nothing that stands at a site."""

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
FLEET_AGENTS = 1_000_000
"""Agents that one simulated fleet plays: their state is some 1 kB each."""
FLEET_IN_FLIGHT = 4_096
"""Contacts that a simulated fleet has in the air at once; each is a socket."""
FLEET_BLOCKS = 16
"""Blocks that a simulated agent holds back at most during an outage; real ones keep months."""
FLEET_LATENCIES = 2_000_000
"""Times of contacts that are kept for percentiles: half an hour at a thousand a second."""
FLEET_SEAT_BYTES = 16_384
"""One line of a roster: an agent's state and the receipts that nobody acknowledged yet."""
