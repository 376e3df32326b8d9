"""Devices by what they say they are: who is meant, who is not, and who did not answer."""

from tests.mutants.mutant import Mutant

_SELECTION = "tests/simulation/test_selection.py::test_"

SELECTION = (
    Mutant(
        "engine-choice-is-forgotten",
        "agent/services/executor.py",
        "course = replace(course, chosen=True)",
        "course = replace(course, chosen=False)",
        (_SELECTION + "what_a_job_changed_itself_does_not_make_it_leave_the_device_out",),
    ),
    Mutant(
        "engine-left-out-counts",
        "shared/model/job.py",
        "[row for row in tasks if row.reason is not Reason.NOT_SELECTED]",
        "list(tasks)",
        (_SELECTION + "who_is_left_out_says_why_and_counts_nowhere",),
    ),
    Mutant(
        "engine-canary-left-out",
        "agent/store/execution_rows.py",
        "if fact.reason is Reason.NOT_SELECTED:",
        "if False:",
        (_SELECTION + "the_place_of_a_canary_that_is_not_meant_is_the_next_ones",),
    ),
    Mutant(
        "engine-silent-one-is-left-out",
        "agent/services/selection.py",
        "        return None if fault is None else Problem(fault.reason, fault.detail)",
        "        return None if fault is None else Problem(Reason.NOT_SELECTED, fault.detail)",
        (_SELECTION + "a_known_device_that_is_silent_is_missed_and_asked_again",),
    ),
)
