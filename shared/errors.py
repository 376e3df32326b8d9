"""Reason codes and exceptions, grouped by who is to blame.

Owns the small integers that travel on the wire instead of text, and the exceptions that every
package raises. Leaves out outcomes that are expected: those are returned as values.

Codes are append-only: a code, once released, keeps its meaning for ever.
1xx trust, 2xx sync, 3xx job, 4xx device, 5xx configuration, 6xx machine.
"""

from collections.abc import Iterable
from enum import IntEnum


class Reason(IntEnum):
    """Why something was refused or failed; the name in lower case is the text form."""

    # 1xx trust: a signed document was refused.
    TOO_LONG = 100
    BAD_SHAPE = 101
    WRONG_TYPE = 102
    DUPLICATE_KEY_ID = 103
    THRESHOLD_NOT_MET = 104
    NOT_CANONICAL = 105
    BAD_SCHEMA = 106
    WRONG_FLEET = 107
    WRONG_AUDIENCE = 108
    WRONG_EPOCH = 109
    WRONG_ROOT_VERSION = 110
    REPLAYED = 111
    NOT_YET_VALID = 112
    EXPIRED = 113
    UNKNOWN_AGENT = 114
    CLAIM_INVALID = 115
    WRONG_NONCE = 116
    REVOKED = 117
    WRONG_CATALOG_VERSION = 120
    WRONG_POLICY_VERSION = 121
    WRONG_RESTORE_EPOCH = 122
    ROLLED_BACK = 123
    EQUIVOCATED = 124
    UNATTESTED = 125
    ROOT_EXPIRED = 126
    CATALOG_EXPIRED = 127
    POLICY_EXPIRED = 128
    OUT_OF_TOUCH = 129
    ACTION_NOT_ALLOWED = 130
    OUT_OF_BOUNDS = 131
    PROFILE_NOT_ALLOWED = 132
    UNKNOWN_CLASS = 133
    CLASS_EXCEEDED = 134
    APPROVALS_MISSING = 135
    APPROVAL_OTHER_JOB = 136
    APPROVAL_OTHER_TARGET = 137
    APPROVAL_EXPIRED = 138
    APPROVAL_USED_UP = 139
    APPROVAL_BY_AUTHOR = 140
    APPROVAL_FORGOTTEN = 141
    WRONG_STORE = 142
    ENROLMENT_REJECTED = 150
    ENROLMENT_FULL = 151
    DECOMMISSIONED = 152
    KEY_REPLACED = 153
    CERTIFICATE_NEEDED = 154
    CONTACTS_CROWDED = 155

    # 2xx sync: a contact, a report or a block was refused.
    BLOCK_MALFORMED = 200
    BLOCK_CHECKSUM = 201
    BLOCK_NOT_ANNOUNCED = 202
    BLOCK_CONFLICT = 203
    BODY_MALFORMED = 204
    REPORT_STALE = 205
    CHAIN_FORKED = 206
    BLOCK_EPOCH = 207
    SCHEMA_MALFORMED = 208
    SCHEMA_NOT_ANNOUNCED = 220
    STICK_MALFORMED = 209
    SEAL_BROKEN = 210
    ARTIFACT_UNKNOWN = 230
    ARTIFACT_ALTERED = 231
    ARTIFACT_NOT_HERE = 232

    # 3xx job: an execution or a task did not succeed.
    UNKNOWN_ACTION = 300
    BAD_PARAMETERS = 301
    NO_MATCHING_DEVICE = 302
    JOB_EXPIRED = 303
    POISONED = 304
    UNKNOWN_EFFECT = 305
    TIMED_OUT = 306
    BAD_SPEC = 307
    STEP_FAILED = 308
    STORE_LOST = 309
    POST_CHECK_FAILED = 310
    UNDONE = 311
    UNDO_FAILED = 312
    CANCELED = 313
    SUPERSEDED = 314
    DEPENDENCY_FAILED = 315
    PRECONDITION_OPEN = 316
    WINDOW_CLOSED = 317
    SITE_LOCKED = 318
    WAITING_FOR_JOB = 319
    CANARY_FAILED = 320
    JOB_TIMED_OUT = 321
    OVERLAPPED = 322
    MISSED = 323
    RATE_LIMITED = 324
    SCRIPT_FAILED = 325
    NOT_SELECTED = 326

    # 4xx device: the thing on the wire did not do what was asked.
    DEVICE_SILENT = 400
    DEVICE_BAD_FRAME = 401
    DEVICE_EXCEPTION = 402
    BUS_DOWN = 403
    VERIFY_MISMATCH = 404
    POINT_UNKNOWN = 405
    POINT_READ_ONLY = 406
    VALUE_OUT_OF_RANGE = 407
    WRITTEN_TOO_SOON = 408
    CALL_UNKNOWN = 409
    FIRMWARE_REFUSED = 410
    FIRMWARE_REVERTED = 411
    FIRMWARE_LOST = 412

    # 5xx configuration: what a person wrote cannot be used.
    CONFIG_INVALID = 500
    PROFILE_INVALID = 501
    SCHEMA_NEWER = 502
    NOT_CONFIRMED = 503

    # 6xx machine: our own disk did not do what was asked.
    STORE_FAILED = 600
    STORE_FULL = 601
    STORE_BUSY = 602
    STORE_CORRUPT = 603
    STORE_CLOSED = 604
    STORE_QUOTA = 605
    UNCLEAN_STOP = 606
    STORE_THINNED = 607
    STORE_UNSURE = 608

    @property
    def text(self) -> str:
        """Return the stable text form, e.g. ``wrong_audience``."""
        return self.name.lower()


class OutstationError(Exception):
    """Base of every exception raised on purpose in this product."""


class MistakeError(OutstationError):
    """A person's input cannot be used: says what, where and the mend in one sentence."""

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        self.what, self.where, self.mend = what, where, mend
        sentence = f"{where}: {what}" if where else what
        super().__init__(f"{sentence}; {mend}" if mend else sentence)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that a person may have meant, or nothing.

    >>> nearest("badu", ("baud", "parity"))
    'baud'
    """
    # Only a mistake needs it: an agent that runs does not carry it along.
    from difflib import get_close_matches  # noqa: PLC0415

    return next(iter(get_close_matches(word, tuple(known), n=1)), "")


class RefusedError(OutstationError):
    """Theirs: what a peer sent is not acceptable; nothing of it was used."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason.text}: {detail}" if detail else reason.text)


class WorldError(OutstationError):
    """The world's: a disk, port, link or device failed; trying again later may help."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason.text}: {detail}" if detail else reason.text)
