"""Drift: what schedules find out in an outage, and settings and versions that are others."""

from tests.mutants.mutant import cuts

_FOUND = "tests/simulation/test_standing_findings.py::test_"
_SELF = "tests/simulation/test_self_config.py::test_"
_agent = cuts("drift", "agent/store/standing_rows.py", _FOUND)
_words = cuts("drift", "coordinator/core/drift_words.py", "tests/unit/test_drift.py::test_")
_kept = cuts("drift", "coordinator/transactions/drift.py", "tests/unit/test_drift")
_happened = cuts(
    "drift", "coordinator/transactions/happenings.py", "tests/unit/test_drift.py::test_"
)
_own = cuts("drift", "agent/services/self_config.py", _SELF)
_facts = cuts("drift", "coordinator/transactions/devices.py", "tests/unit/test_drift.py::test_")
_sql = cuts("drift", "coordinator/store/queries/support.sql", "tests/unit/test_drift.py::test_")
_YEARS = "firmware_is_known_as_last_told_though_a_clock_was_years_ahead"
_OTHER = "a_device_that_says_another_version_than_it_was_updated_to_is_missed"

DRIFT = (
    _agent(
        "findings-as-one",
        "            alike = same_finding(_found_out(found[4]), tale.result)\n",
        "            pass\n",
        "a_drift_in_an_outage_is_told_of_its_device_from_when_it_was_seen",
    ),
    _agent(
        "findings-of-no-device",
        "if not is_finding(fact.result):",
        "if True:",
        "a_drift_in_an_outage_is_told_of_its_device_from_when_it_was_seen",
    ),
    _words("version-ignored", "{} if wanted == is_so else self.missed", "{}", _OTHER),
    _words("version-of-any-text", "if not wanted or not is_so:", "if not wanted:", _OTHER),
    _words(
        "settings-without-a-wish",
        "if not wanted or not is_so:",
        "if not is_so:",
        "an_agent_that_runs_under_other_settings_than_it_was_given_is_missed",
    ),
    _kept(
        "since-it-was-told",
        "first_ms = receipt.firing_ms or at_ms",
        "first_ms = at_ms",
        "_standing.py::test_a_drift_seen_without_a_link_is_told_since_it_was_seen",
    ),
    _kept(
        "word-of-a-wrong-clock",
        "if at_ms < counted_ms(before.at_ms, now_ms):",
        "if at_ms < before.at_ms:",
        ".py::test_a_word_of_a_clock_that_is_years_ahead_is_newer_than_nothing",
    ),
    _facts(
        "firmware-by-a-wrong-clock",
        "counted_ms(row[4], now_ms) <= at_ms",
        "row[4] <= at_ms",
        _YEARS,
    ),
    _sql("facts-by-a-wrong-clock", " OR device_facts.at_ms > $11;", " OR $11 < 0;", _YEARS),
    _kept(
        "newest-first",
        "told.sort(key=lambda one: (counted_ms(one[0].wall_ms, now_ms), one[0].wall_ms))",
        "told.sort(key=lambda one: -one[0].wall_ms)",
        "_standing.py::test_a_drift_that_began_and_ended_without_a_link_is_told_as_both",
    ),
    _kept(
        "dry-run-mends",
        "return not self.dry_run and any(",
        "return any(",
        ".py::test_a_dry_run_has_mended_nothing",
    ),
    _happened(
        "agent-discovered",
        ' or device.startswith("@")',
        "",
        "an_agent_that_runs_under_other_settings_than_it_was_given_is_missed",
    ),
    _own(
        "settings-with-devices",
        "content_hash(without_adopted(settings))",
        "content_hash(settings)",
        "a_device_that_was_adopted_is_no_setting_that_somebody_could_miss",
    ),
)
