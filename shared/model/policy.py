"""Back-off and retry as pure functions of how often, how long, and a random fraction."""

from shared.errors import Reason

_MILLION = 1_000_000
_HOPELESS = frozenset(
    {
        Reason.UNKNOWN_ACTION,
        Reason.BAD_PARAMETERS,
        Reason.BAD_SPEC,
        Reason.NO_MATCHING_DEVICE,
        Reason.POINT_UNKNOWN,
        Reason.POINT_READ_ONLY,
        Reason.VALUE_OUT_OF_RANGE,
        Reason.CALL_UNKNOWN,
        # The same image again: the device has said no to it, or its own self-check has.
        Reason.FIRMWARE_REFUSED,
        Reason.FIRMWARE_REVERTED,
        Reason.NOT_CONFIRMED,
        Reason.POISONED,
        Reason.UNKNOWN_EFFECT,
        Reason.JOB_TIMED_OUT,
        Reason.JOB_EXPIRED,
        Reason.CANCELED,
        # All steps succeeded: another attempt would repeat effects that must not happen twice.
        Reason.POST_CHECK_FAILED,
    }
)


def full_jitter_ms(
    failures: int,
    *,
    initial_s: int,
    max_s: int,
    fraction: float,
    multiplier_ppm: int = 2 * _MILLION,
) -> int:
    """Return how long to wait after so many failures in a row: uniform in [0, capped exponential).

    Full jitter spreads a fleet that failed together; the cap is reached, never exceeded, and
    there is no last try. A `fraction` of 1 is no jitter.
    """
    assert failures >= 1, "there is nothing to back off from"
    growth = (multiplier_ppm / _MILLION) ** min(failures - 1, 32)
    return int(min(max_s, initial_s * growth) * 1000 * fraction)


def may_retry(reason: Reason, *, failures: int, allowed: int) -> bool:
    """Tell whether a failed attempt may be repeated: retries remain and repeating may cure it."""
    return failures <= allowed and reason not in _HOPELESS
