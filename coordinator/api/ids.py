"""Ids in paths: text that names nothing is simply not found."""

from coordinator.api.problems import Kind, ProblemError
from shared.errors import MistakeError
from shared.ids import parse_uuid


def job_id(text: str) -> bytes:
    """Return the id of a job in a path.

    Raises:
        ProblemError: NOT_FOUND.
    """
    return uuid_in_path(text, "job")


def uuid_in_path(text: str, what: str) -> bytes:
    """Return the 16 bytes of an id in a path.

    Raises:
        ProblemError: NOT_FOUND.
    """
    try:
        return parse_uuid(text, what=f"a {what}")
    except MistakeError:
        raise ProblemError(
            Kind.NOT_FOUND,
            f"no {what} {text!r}: it is found by its id, as lists show it",
            at=f"path.{what}",
        ) from None


def missing(what: str, text: str) -> ProblemError:
    """Return the problem of a thing that is not there."""
    return ProblemError(Kind.NOT_FOUND, f"no {what} {text!r}", at=f"path.{what}")


def job_filter(text: str) -> bytes:
    """Return the id of a job that a list is about; empty for all jobs.

    Raises:
        MistakeError: at ``query.job``.
    """
    try:
        return parse_uuid(text, what="a job") if text else b""
    except MistakeError as error:
        raise MistakeError(error.what, where="query.job", mend=error.mend) from None
