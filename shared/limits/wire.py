"""What is refused before it is parsed."""

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
TRACE_BYTES = 16
"""The trace id of W3C Trace Context."""
