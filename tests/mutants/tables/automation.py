"""Templates, triggers, chains, and newer jobs in the place of older ones."""

from tests.mutants.mutant import Mutant

_TRIGGERS = "tests/unit/test_triggers.py::test_"
_MEANT = "tests/unit/test_trigger_mistakes.py::test_"
_FIRINGS = "tests/unit/test_firing_ids.py::test_"
_SUPERSEDED = "tests/unit/test_supersession.py::test_"
_ROLLOUTS = "tests/unit/test_supersession_rollouts.py::test_"
_ROLLING = "tests/unit/test_trigger_rollouts.py::test_"
_CHAINS = "tests/unit/test_job_chains.py::test_"
_REPEATS = "tests/system/test_cli_repeats.py::test_"
_ENDS = "tests/unit/test_job_ends.py::test_"
_TEMPLATES = "tests/unit/test_templates.py::test_"


def _mutant(name: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"automation-{name}", f"coordinator/{file}", old, new, tests)


AUTOMATION = (
    _mutant(
        "fires-once",
        "store/queries/triggers.sql",
        "SELECT at_ms, agent_id, detail FROM trigger_firing\n"
        "WHERE trigger_id = $1 AND occasion = $2 AND outcome = '';\n",
        "SELECT at_ms, agent_id, detail FROM trigger_firing\n"
        "WHERE trigger_id = $1 AND occasion = $2;\n",
        _TRIGGERS + "what_was_too_much_stays_undone_for_who_has_looked_before",
    ),
    _mutant(
        "one-stops-all",
        "transactions/trigger_firings.py",
        "    except Exception as error:\n",
        "    except KeyError as error:\n",
        _MEANT + "what_one_trigger_cannot_make_stops_no_other",
    ),
    _mutant(
        "saved-though-nobody-could-read-it",
        "transactions/triggers.py",
        "        signed_form(spec)\n",
        "",
        _MEANT + "a_trigger_that_cannot_be_meant_is_pointed_at",
    ),
    _mutant(
        "saved-again-it-knows-nothing",
        "transactions/triggers.py",
        '        yield from execute("trigger_replace", before[0], *says)\n',
        '        yield from execute("trigger_delete", before[0], now_ms)\n'
        '        yield from execute("trigger_insert", before[0][::-1], trigger.name, *says)\n',
        _TRIGGERS + "a_trigger_that_is_saved_again_knows_what_it_did_and_sees_its_job_at_work",
        _TRIGGERS + "a_paused_trigger_that_is_saved_again_rests_on",
    ),
    _mutant(
        "a-soaking-rollout-is-over",
        "store/queries/triggers.sql",
        "WHERE r.job_id = j.job_id AND r.state < 10)))",
        "WHERE r.job_id = j.job_id AND r.state < 1)))",
        _ROLLING + "a_rollout_that_soaks_between_stages_is_not_over",
    ),
    _mutant(
        "a-paused-rollout-is-over",
        "store/queries/triggers.sql",
        "WHERE r.job_id = j.job_id AND r.state < 10)))",
        "WHERE r.job_id = j.job_id AND r.state < 2)))",
        _ROLLING + "a_paused_rollout_is_not_over_until_it_is_called_off",
    ),
    _mutant(
        "busy-though-it-was-called-off",
        "store/queries/triggers.sql",
        "    OR (j.cancel_ms IS NULL AND EXISTS (SELECT 1 FROM rollout r\n",
        "    OR (EXISTS (SELECT 1 FROM rollout r\n",
        _ROLLING + "a_job_that_was_called_off_is_over_though_its_rollout_soaked",
    ),
    _mutant(
        "deadlines-hear-of-its-jobs",
        "services/triggers.py",
        "            self._submitted()\n",
        "            pass\n",
        _TRIGGERS + "who_settles_deadlines_hears_of_the_jobs_that_a_trigger_made",
    ),
    _mutant(
        "pins-the-template",
        "transactions/triggers.py",
        "    return trigger if found is None else replace(trigger, version=found.version)\n",
        "    return trigger\n",
        _TRIGGERS + "who_changes_a_template_changes_no_trigger",
    ),
    _mutant(
        "an-authors-job",
        "transactions/trigger_firings.py",
        "            author=row[4],\n",
        "",
        _TRIGGERS + "a_job_of_a_trigger_is_its_authors",
    ),
    _mutant(
        "no-circle",
        "transactions/triggers.py",
        "    yield from _check_circle(trigger, makes)\n",
        "",
        _TRIGGERS + "jobs_that_would_set_each_other_off_for_ever_are_refused",
    ),
    _mutant(
        "fires-under-another-id",
        "transactions/trigger_firings.py",
        "    if kind == SCHEDULE or occasion",
        "    if True or occasion",
        _FIRINGS + "an_event_that_is_told_again_after_a_restore_makes_the_job_that_it_made",
    ),
    _mutant(
        "rate",
        "transactions/trigger_firings.py",
        "    if too_many:\n",
        "    if too_many and False:\n",
        _TRIGGERS + "too_many_in_an_hour_or_too_soon_are_told_and_not_done",
    ),
    _mutant(
        "a-signed-one-is-not-superseded",
        "store/queries/supersede.sql",
        "WHERE agent_id = $1 AND state = 0 AND signed_seq IS NULL AND cancel_ms IS NULL\n",
        "WHERE agent_id = $1 AND state = 0 AND cancel_ms IS NULL\n",
        _SUPERSEDED + "what_was_signed_is_called_off_and_only_the_receipt_settles_it",
    ),
    _mutant(
        "a-signed-one-is-called-off",
        "store/queries/supersede.sql",
        "(signed_seq IS NOT NULL OR job_id < $5)",
        "(signed_seq IS NULL AND job_id < $5)",
        _SUPERSEDED + "an_old_bundle_that_was_lost_never_brings_back_what_was_replaced",
    ),
    _mutant(
        "what-was-never-done-stops-nothing",
        "store/queries/supersede.sql",
        "o.state NOT IN (15, 17, 20, 22)",
        "o.state <> 20",
        _SUPERSEDED + "an_older_job_that_goes_out_late_gives_way_to_what_was_done",
    ),
    _mutant(
        "who-gave-way-stops-nothing",
        "store/queries/supersede.sql",
        " AND (o.state <> $4 OR NOT EXISTS (",
        " AND (true OR NOT EXISTS (",
        _SUPERSEDED + "who_gave_way_to_a_job_that_was_called_off_stops_no_older_one",
    ),
    _mutant(
        "replaced-by-another-key-it-was-done",
        "store/queries/supersede.sql",
        "WHERE s.job_id = o.superseded_by AND s.conflict_key = $3))",
        "WHERE s.job_id = o.superseded_by))",
        _SUPERSEDED + "what_a_newer_configuration_says_too_is_not_brought_back",
    ),
    _mutant(
        "chains-are-whole",
        "core/minimal_plan.py",
        "        by = None if one.job in needed else _replaced_by(one, kept)\n",
        "        by = _replaced_by(one, kept)\n",
        _SUPERSEDED + "a_whole_chain_is_kept",
    ),
    _mutant(
        "held-back-takes-a-place",
        "core/minimal_plan.py",
        "        if not one.held:\n",
        "        if True:\n",
        _ROLLOUTS + "a_configuration_goes_out_while_a_newer_one_is_held_back",
    ),
    _mutant(
        "held-back-needs-nothing",
        "store/queries/supersede.sql",
        "    AND e.job_id >= $2 AND j.not_after_ms > $3\n",
        "    AND e.job_id >= $2 AND j.not_after_ms > $3 AND j.held_ms IS NULL\n",
        _ROLLOUTS + "what_a_held_back_job_waits_for_is_kept",
    ),
    _mutant(
        "over-takes-a-place",
        "store/queries/supersede.sql",
        "    AND e.job_id >= $2 AND j.not_after_ms > $3\n",
        "    AND e.job_id >= $2 AND j.not_after_ms >= $3\n",
        _ROLLOUTS + "a_configuration_goes_out_where_a_newer_ones_time_is_over",
    ),
    _mutant(
        "late-for-what-is-held-back",
        "store/queries/supersede.sql",
        "OR (n.held_ms IS NULL AND n.not_after_ms > $6))",
        "OR n.not_after_ms > $6)",
        _ROLLOUTS + "what_is_released_late_goes_while_a_newer_one_is_held_back",
    ),
    _mutant(
        "late-for-what-is-over",
        "store/queries/supersede.sql",
        "OR (n.held_ms IS NULL AND n.not_after_ms > $6))",
        "OR (n.held_ms IS NULL AND n.not_after_ms <> $6))",
        _ROLLOUTS + "what_is_released_late_goes_where_a_newer_ones_time_is_over",
    ),
    _mutant(
        "late-though-it-was-signed",
        "store/queries/supersede.sql",
        "(o.signed_seq IS NOT NULL OR o.state > 0 OR",
        "(o.state > 0 OR",
        _ROLLOUTS + "what_is_released_late_is_dropped_where_a_newer_one_may_be",
    ),
    _mutant(
        "late-though-it-was-told-of",
        "store/queries/supersede.sql",
        "(o.signed_seq IS NOT NULL OR o.state > 0 OR",
        "(o.signed_seq IS NOT NULL OR",
        _ROLLOUTS + "what_is_released_late_is_dropped_where_a_newer_one_may_be",
    ),
    _mutant(
        "late-though-a-copy-forgot-it",
        "store/queries/supersede.sql",
        " OR n.job_id < $7\n",
        " OR n.job_id > $7\n",
        _ROLLOUTS + "what_is_released_late_is_dropped_where_a_newer_one_may_be",
    ),
    _mutant(
        "nothing-unknown-again",
        "transactions/repeats.py",
        "(reason != Reason.UNKNOWN_EFFECT and agent not in unsure)",
        "agent not in unsure",
        _CHAINS + "only_what_failed_is_retried_and_what_may_have_run_only_if_asked",
    ),
    _mutant(
        "nothing-unknown-again-though-undone",
        "transactions/repeats.py",
        "(reason != Reason.UNKNOWN_EFFECT and agent not in unsure)",
        "reason != Reason.UNKNOWN_EFFECT",
        _CHAINS + "an_undone_job_that_may_have_run_is_retried_only_if_asked",
    ),
    _mutant(
        "a-chain-begins-once",
        "transactions/chains.py",
        'fetch_one("job_begun", job, now_ms)) is None:',
        'fetch_one("job_begun", job, now_ms)) is False:',
        _CHAINS + "a_second_look_at_a_chain_that_begun_queues_nothing_twice",
    ),
    # --- when a job has ended
    _mutant(
        "called-off-is-an-end",
        "transactions/cancel.py",
        "    yield from job_ended(job, now_ms)\n",
        "",
        _ENDS + "a_job_that_was_called_off_failed_at_once_and_not_a_month_later",
    ),
    _mutant(
        "ended-before-its-deadline",
        "transactions/deadlines.py",
        "        if busy is not None:",
        "        if True:",
        _ENDS + "who_listens_only_since_a_job_ended_does_not_hear_of_it_when_its_time_is_over",
    ),
    _mutant(
        "went-to-nobody",
        "store/queries/triggers.sql",
        "    AND EXISTS (SELECT 1 FROM execution e WHERE e.job_id = $1)\n",
        "",
        _ENDS + "a_job_that_went_to_nobody_ended_nowhere",
    ),
    _mutant(
        "replaced-is-an-end",
        "transactions/supersede.py",
        "*(rival for (rival,) in rivals)",
        "*()",
        _ENDS + "a_job_that_a_newer_one_replaced_ends_with_that",
    ),
    _mutant(
        "too-late-is-an-end",
        "transactions/supersede.py",
        "sorted({job, *(",
        "sorted({*(",
        _ENDS + "a_job_that_goes_out_too_late_ends_with_that",
    ),
    _mutant(
        "needless-is-an-end",
        "transactions/supersede.py",
        "        yield from job_ended(row[0], now_ms)\n",
        "",
        _ENDS + "a_configuration_that_became_needless_ends_with_that",
    ),
    _mutant(
        "its-rollout-goes-on",
        "store/queries/triggers.sql",
        "r.job_id = $1 AND r.state < 10)",
        "r.job_id = $1 AND r.state < 0)",
        _ENDS + "a_rollout_that_did_well_until_it_was_called_off_failed",
    ),
    _mutant(
        "its-rollout-is-over",
        "transactions/dispatch.py",
        "    if progress.state not in OPEN and loaded.progress.state in OPEN:\n",
        "    if False:\n",
        _ENDS + "a_rollout_ends_when_it_releases_nobody_more",
    ),
    _mutant(
        "not-all-had-it",
        "store/queries/triggers.sql",
        "\n            OR (SELECT count(*) FROM execution e WHERE e.job_id = $1) < j.targets)",
        ")",
        _ENDS + "a_rollout_that_did_well_until_it_was_called_off_failed",
    ),
    _mutant(
        "given-up-is-an-end",
        "transactions/dispatch.py",
        "    if late:\n",
        "    if False:\n",
        _ENDS + "who_is_given_up_after_its_rollout_ended_ends_its_job",
    ),
    _mutant(
        "a-chain-begins-after-its-end",
        "store/queries/repeats.sql",
        "    AND denied_ms IS NULL AND cancel_ms IS NULL AND expired_ms IS NULL RETURNING targets;",
        "    RETURNING targets;",
        _CHAINS + "a_job_that_is_over_since_it_was_looked_at_does_not_begin",
    ),
    _mutant(
        "a-chain-after-a-part",
        "contract/jobs.py",
        'self.state != "ABORTED" and done >= self.targets',
        "done > 0",
        "tests/unit/test_rollout_endings.py::"
        "test_who_waits_for_all_to_succeed_is_not_told_of_a_part",
    ),
    _mutant(
        "clones-need-fewer-people",
        "api/repeats.py",
        '        "job_class": view.job_class,\n        "begins_after"',
        '        "begins_after"',
        _REPEATS + "a_clone_is_of_the_same_class_and_waits_for_the_same_job",
    ),
    _mutant(
        "clones-wait-for-nothing",
        "api/repeats.py",
        "    return None if found is None else view.waits_for\n",
        "    return None\n",
        _REPEATS + "a_clone_is_of_the_same_class_and_waits_for_the_same_job",
    ),
    _mutant(
        "no-blanks-in-values",
        "contract/template_values.py",
        "        return values[whole[1]]\n",
        "        return _filled_text(str(values[whole[1]]), values, where)\n",
        _TEMPLATES + "what_was_filled_in_brings_no_blanks_of_its_own",
    ),
)
