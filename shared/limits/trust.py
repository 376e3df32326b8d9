"""Bounds of documents, keys and approvals, and how long each is valid."""

SIGNATURES = 16
"""Signatures on one document; the largest role is a threshold of a few people."""
STANDING_BYTES = 245_760
"""Every root document of a fleet, its catalog and its policy: one answer may have to bring all."""
ROOTS = 256
"""Root documents of a fleet; a key set that changes each month lasts for twenty years."""
KEY_PROOFS = 16
"""Words by which an agent's newest keys were introduced, kept for a coordinator that forgets."""
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
FETCH_BYTES = 512
"""An agent's request for a file: 170 bytes as a rule."""
FETCH_MS = 3_600_000
"""It is good for an hour: a download signs anew when the last one is half of that old."""
