"""Copies that are kept elsewhere: whole, of one moment, and put back or not at all."""

from tests.mutants.mutant import Mutant

_KEPT = "tests/system/test_coordinator_backup.py::test_"
_SLIPS = "tests/unit/test_command_mistakes.py::test_"


def _mutant(name: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"artifact-{name}", file, old, new, tests)


COPIES = (
    _mutant(
        "copy-checked-against-its-name",
        "coordinator/services/backup_artifacts.py",
        "await _brought(one, source, target):\n",
        "(await _brought(one, source, target), True)[1]:\n",
        _KEPT + "a_damaged_file_of_a_copy_is_not_put_back",
    ),
    _mutant(
        "copy-goes-on-after-what-is-damaged",
        "coordinator/services/backup_artifacts.py",
        "contextlib.suppress(WorldError)",
        "contextlib.suppress()",
        _KEPT + "a_file_of_a_copy_that_ends_early_keeps_no_other_from_coming_back",
        _KEPT + "a_file_that_ends_early_is_named_and_the_others_are_copied",
    ),
    _mutant(
        "copy-missing-named",
        "coordinator/services/backup_artifacts.py",
        "            missing.append(one)\n",
        "            continue\n",
        _KEPT + "a_copy_without_artifacts_says_so_and_a_restore_names_what_is_missing",
    ),
    _mutant(
        "copy-begins-anew",
        "coordinator/services/backup.py",
        '            old.execute("BEGIN")\n',
        "",
        _KEPT + "a_copy_of_a_busy_database_ends_and_is_of_one_moment",
    ),
    _mutant(
        "copy-is-a-copy",
        "coordinator/services/backup.py",
        "    if begun != _SQLITE:\n",
        "    if False:\n",
        _SLIPS + "only_a_copy_is_restored_and_nothing_is_made_for_another_file",
    ),
    _mutant(
        "founding-undone",
        "coordinator/place.py",
        "list(directory.iterdir()) if began_empty else []",
        "()",
        _SLIPS + "a_founding_that_fails_leaves_the_directory_empty",
    ),
)
