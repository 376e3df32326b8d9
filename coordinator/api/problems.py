"""Why a request was not served, as RFC 9457 problems: the whole list of their names stands here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import msgspec
from aiohttp import web

from coordinator.contract.common import PROBLEM_TYPE, PROBLEM_URN, Problem
from shared.errors import MistakeError, OutstationError, Reason, RefusedError, WorldError


class Kind(Enum):
    """Every problem a client can meet: name, status, title."""

    MALFORMED = ("malformed", 400, "The request cannot be read")
    UNAUTHENTICATED = ("unauthenticated", 401, "A valid bearer token is needed")
    DENIED = ("denied", 403, "This token does not allow that")
    AGENT_UNKNOWN = ("agent-unknown", 403, "No such agent is enrolled")
    AGENT_REVOKED = ("agent-revoked", 403, "This agent was revoked")
    AGENT_LEFT = ("agent-decommissioned", 403, "This agent was decommissioned")
    KEY_REPLACED = ("key-replaced", 403, "This agent has another key by now")
    CERTIFICATE_NEEDED = ("certificate-needed", 403, "A valid client certificate is needed")
    ENROLMENT_REJECTED = ("enrolment-rejected", 403, "An admin did not let this key in")
    CLAIM_INVALID = ("claim-invalid", 403, "This claim lets nobody in")
    SIGNATURE_INVALID = ("signature-invalid", 403, "Not signed by the key it must be signed by")
    WRONG_FLEET = ("wrong-fleet", 403, "This belongs to another fleet")
    NOT_FOUND = ("not-found", 404, "There is no such thing")
    METHOD_NOT_ALLOWED = ("method-not-allowed", 405, "This cannot be done here")
    TIMED_OUT = ("timed-out", 408, "The request's body did not come")
    CONFLICT = ("conflict", 409, "It does not fit what happened before")
    KEY_REUSED = ("idempotency-key-reused", 409, "This Idempotency-Key belongs to another request")
    TOO_LARGE = ("too-large", 413, "The request's body is over its bound")
    WRONG_MEDIA_TYPE = ("wrong-media-type", 415, "The body is of another type")
    BAD_RANGE = ("bad-range", 416, "The range is beyond the end")
    MISDIRECTED = ("misdirected", 421, "Another process of this coordinator serves this")
    INVALID = ("invalid", 422, "The request cannot be used as it is")
    ENROLMENT_FULL = ("enrolment-full", 429, "Too many gateways ask to be let in")
    CONTACTS_CROWDED = ("contacts-crowded", 429, "Too many contacts of this gateway at once")
    INTERNAL = ("internal", 500, "The coordinator failed")
    UNAVAILABLE = ("unavailable", 503, "The coordinator cannot store anything now")

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        return self.value[1]

    @property
    def urn(self) -> str:
        """Return the problem's type."""
        return PROBLEM_URN + self.value[0]

    @property
    def title(self) -> str:
        """Return what clients may show."""
        return self.value[2]


@dataclass(slots=True, eq=False)
class ProblemError(OutstationError):
    """Raised anywhere below a handler; answered as the problem it carries."""

    kind: Kind
    detail: str = ""
    at: str = ""
    reason: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    mend: str = ""

    def response(self) -> web.Response:
        """Return the answer."""
        problem = Problem(
            type=self.kind.urn,
            title=self.kind.title,
            status=self.kind.status,
            detail=self.detail,
            mend=self.mend,
            at=self.at,
            reason=self.reason,
        )
        return web.Response(
            body=msgspec.json.encode(problem),
            status=self.kind.status,
            content_type=PROBLEM_TYPE,
            headers=dict(self.headers),
        )


_REFUSED: Mapping[Reason, Kind] = {
    Reason.TOO_LONG: Kind.TOO_LARGE,
    Reason.UNKNOWN_AGENT: Kind.AGENT_UNKNOWN,
    Reason.REVOKED: Kind.AGENT_REVOKED,
    Reason.CLAIM_INVALID: Kind.CLAIM_INVALID,
    Reason.DECOMMISSIONED: Kind.AGENT_LEFT,
    Reason.KEY_REPLACED: Kind.KEY_REPLACED,
    Reason.CERTIFICATE_NEEDED: Kind.CERTIFICATE_NEEDED,
    Reason.ENROLMENT_REJECTED: Kind.ENROLMENT_REJECTED,
    Reason.ENROLMENT_FULL: Kind.ENROLMENT_FULL,
    Reason.CONTACTS_CROWDED: Kind.CONTACTS_CROWDED,
    Reason.THRESHOLD_NOT_MET: Kind.SIGNATURE_INVALID,
    Reason.WRONG_FLEET: Kind.WRONG_FLEET,
    Reason.ARTIFACT_UNKNOWN: Kind.NOT_FOUND,
}
"""Every other reason means that the bytes are not what they should be."""

_AGAIN_S: Mapping[Kind, int] = {Kind.ENROLMENT_FULL: 60, Kind.CONTACTS_CROWDED: 10}
"""When what was too much may come again."""
RETRY_S = 10
"""When a store that failed is worth another try."""


def as_problem(error: OutstationError) -> ProblemError:
    """Return the problem that tells a client about an exception of ours."""
    match error:
        case ProblemError():
            return error
        case MistakeError():
            detail = f"{error.what}; {error.mend}" if error.mend else error.what
            return ProblemError(Kind.INVALID, detail, at=error.where, mend=error.mend)
        case RefusedError():
            kind = _REFUSED.get(error.reason, Kind.MALFORMED)
            again_s = _AGAIN_S.get(kind)
            headers = {} if again_s is None else {"Retry-After": str(again_s)}
            return ProblemError(kind, error.detail, reason=error.reason.text, headers=headers)
        case WorldError():
            # The detail names files of this machine: it is in the log, not in the answer.
            headers = {"Retry-After": str(RETRY_S)}
            return ProblemError(Kind.UNAVAILABLE, reason=error.reason.text, headers=headers)
        case _:
            return ProblemError(Kind.INTERNAL)
