"""What a job may do: bounds right before a write, effects once, values that go back, scripts."""

from tests.mutants.mutant import Mutant

_DEVICE = "tests/contract/test_actions.py::test_"
_WRITES = "tests/contract/test_device_writes.py::test_"
_CONFIGURATIONS = "tests/contract/test_device_configurations.py::test_"
_PULSES = "tests/contract/test_pulses.py::test_"
_STOPPED = "tests/simulation/test_pulse.py::test_"
_OWN = "tests/contract/test_own_actions.py::test_"
_SCRIPT = "tests/contract/test_run_script.py::test_"
_LENT = "tests/simulation/test_temporary.py::test_"
_SELF = "tests/simulation/test_self_config.py::test_"
_REGISTRY = "agent/actions/registry.py"
_SCRIPTS = "agent/services/scripts.py"


def _mutant(name: str, file: str, edit: tuple[str, str], *tests: str) -> Mutant:
    return Mutant(f"action-{name}", file, *edit, tests)


ACTIONS = (
    _mutant(
        "lends-what-can-be-put-back",
        "agent/actions/write.py",
        ("        if for_s and (blank := next(", "        if False and (blank := next("),
        _LENT + "nothing_is_lent_where_nothing_could_be_put_back",
    ),
    _mutant(
        "asks-no-catalog",
        "agent/actions/hand.py",
        (
            "            if problem := self.may_write(profile.content_hash, name, value):\n",
            "            if problem := None:\n",
        ),
        _DEVICE + "nothing_is_written_that_the_catalog_does_not_allow",
    ),
    _mutant(
        "wears-out",
        "agent/actions/hand.py",
        ("            if left_s:\n", "            if False:\n"),
        _WRITES + "what_wears_out_is_spared_for_its_time_and_no_longer",
    ),
    _mutant(
        "dry-run-writes",
        "agent/actions/write.py",
        (
            "        if hand.dry_run:\n            return _would",
            "        if False:\n            return _would",
        ),
        _DEVICE + "a_dry_run_says_what_it_would_do_and_changes_nothing",
        _WRITES + "a_dry_run_tells_the_present_value_and_the_new_one",
    ),
    _mutant(
        "dry-run-commands",
        "agent/actions/command.py",
        ("            if hand.dry_run:\n", "            if False:\n"),
        _DEVICE + "a_dry_run_says_what_it_would_do_and_changes_nothing",
    ),
    _mutant(
        "silence-is-no",
        "agent/actions/hand.py",
        ("not (obeyed or outcome.reason in _UNSAID)", "not obeyed"),
        _DEVICE + "a_silent_device_is_an_outcome",
        _WRITES + "a_write_that_cannot_be_proven_and_got_no_answer_is_unknown",
    ),
    _mutant(
        "obeyed-is-no",
        "agent/actions/command.py",
        ("uncertain(proven, obeyed=True)", "uncertain(proven)"),
        _WRITES + "a_call_that_was_obeyed_is_unknown_when_it_cannot_be_read_back",
        _WRITES + "a_pulse_that_does_not_come_to_rest_is_not_given_again",
    ),
    _mutant(
        "pulse-cut-off",
        "agent/actions/command.py",
        (
            "    except asyncio.CancelledError:\n        with suppress(",
            "    except ZeroDivisionError:\n        with suppress(",
        ),
        _PULSES + "a_pulse_that_is_cut_off_comes_to_rest",
    ),
    _mutant(
        "pulse-end-cut-off",
        "agent/actions/command.py",
        ("            cut = error\n", "            resting.cancel()\n            raise\n"),
        _PULSES + "a_pulse_comes_to_rest_although_its_end_is_cut_off_too",
        _STOPPED + "a_pulse_that_is_cut_twice_comes_to_rest_all_the_same",
    ),
    _mutant(
        "pulse-end-cut-off-again",
        "agent/actions/command.py",
        ("    while not resting.done():\n", "    if not resting.done():\n"),
        _STOPPED + "a_pulse_that_is_cut_twice_comes_to_rest_all_the_same",
    ),
    _mutant(
        "pulse-ends-for-ever",
        "agent/actions/command.py",
        ("asyncio.timeout(limits.PULSE_REST_S)", "asyncio.timeout(None)"),
        _STOPPED + "a_stop_does_not_wait_for_ever_for_a_rest",
    ),
    _mutant(
        "pulse-without-a-way-back",
        "agent/actions/command.py",
        ("                hand.expected({call.point: call.rest})\n", "                pass\n"),
        _PULSES + "a_pulse_whose_rest_cannot_be_written_does_not_begin",
    ),
    _mutant(
        "pulse-not-ended-untold",
        "agent/actions/command.py",
        ('        _log.event("pulse_not_ended"', '        _log.event("pulse"'),
        _STOPPED + "a_rest_that_a_stop_could_not_write_is_in_the_log",
    ),
    _mutant(
        "pulse-unheard",
        "agent/actions/command.py",
        ("if call.pulse_ms and not is_refusal(error):", "if False:"),
        _PULSES + "a_pulse_that_may_have_begun_unheard_is_ended_a_refused_one_did_not_begin",
    ),
    _mutant(
        "pulse-ends-once",
        "agent/actions/command.py",
        ("in reversed(range(limits.PULSE_RESTS))", "in range(1)"),
        _PULSES + "the_end_of_a_pulse_is_written_until_the_device_takes_it",
    ),
    _mutant(
        "pulse-too-long",
        "agent/actions/command.py",
        ("if call.pulse_ms >= step.timeout_s * 1000:", "if False:"),
        _PULSES + "a_pulse_longer_than_its_step_is_refused",
    ),
    _mutant(
        "some-written-is-none",
        "agent/actions/write.py",
        ("outcome.result.get(SKIPPED) is False", "False"),
        _WRITES + "a_write_of_several_is_unknown_when_only_some_of_it_was_done",
    ),
    _mutant(
        "any-call-twice",
        _REGISTRY,
        ("return call is not None and call.idempotent", "return True"),
        _WRITES + "only_a_call_that_says_so_may_be_repeated",
    ),
    _mutant(
        "any-write-twice",
        _REGISTRY,
        ("step.action == WriteAction.name and is_hazardous(device, step.params)", "False"),
        _WRITES + "only_a_call_that_says_so_may_be_repeated",
    ),
    _mutant(
        "lent-after-it-is-gone",
        "agent/actions/write.py",
        ("        if for_s:\n            lent", "        if False:\n            lent"),
        _LENT + "the_former_value_is_durable_before_the_new_one_is_written",
        _LENT + "a_temporary_value_goes_back_at_its_time_and_says_so",
    ),
    _mutant(
        "lasting-write-goes-back",
        "agent/actions/write.py",
        ("        await hand.memory.settle(hand.device, wanted)\n", "        return\n"),
        _LENT + "a_later_lasting_write_keeps_its_value",
    ),
    _mutant(
        "locked-site-put-back",
        "agent/services/restorer.py",
        ("            if due.loans and locked_ms:\n", "            if False:\n"),
        _LENT + "a_locked_site_keeps_its_values_until_it_is_unlocked",
    ),
    _mutant(
        "first-config-overwritten",
        "agent/store/queries/devices.sql",
        ("WHERE config_kept.owner <> excluded.owner\n", ""),
        _CONFIGURATIONS + "a_repeated_attempt_keeps_what_the_first_one_found",
    ),
    _mutant(
        "forgets-unacknowledged",
        "agent/store/queries/caretaker.sql",
        ("WHERE state BETWEEN 10 AND 29 AND receipt < $1\n", "WHERE state BETWEEN 10 AND 29\n"),
        _OWN + "a_cleanup_never_forgets_what_is_open_or_not_acknowledged",
    ),
    _mutant(
        "forgets-open",
        "agent/store/queries/caretaker.sql",
        ("WHERE state BETWEEN 10 AND 29 AND receipt < $1\n", "WHERE receipt < $1\n"),
        _OWN + "a_cleanup_never_forgets_what_is_open_or_not_acknowledged",
    ),
    _mutant(
        "restart-proves-nothing",
        "agent/services/caretaker.py",
        ("        if before is None or before == self.process:\n", "        if before is None:\n"),
        _OWN + "a_restart_is_proven_by_the_next_process_and_asked_for_once",
    ),
    _mutant(
        "any-script",
        _SCRIPTS,
        ("hashlib.sha256(data).digest() != wanted", "False"),
        _SCRIPT + "a_script_that_the_catalog_does_not_name_byte_by_byte_does_not_run",
    ),
    _mutant(
        "script-as-root",
        "agent/services/script_child.py",
        ("        os.setuid(user)\n", ""),
        _SCRIPT + "a_script_is_nobody_gains_nothing_and_has_bounds",
    ),
    _mutant(
        "script-with-the-agents-key",
        _SCRIPTS,
        ("if not root and not self._settings.as_agent:", "if False:"),
        _SCRIPT + "an_agent_that_is_not_root_runs_scripts_only_if_its_owner_lets_them_read_its_key",
    ),
    _mutant(
        "script-forks-for-ever",
        "agent/services/script_child.py",
        ("    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))\n", ""),
        _SCRIPT + "a_script_that_forks_without_end_is_stopped_by_the_kernel",
    ),
    _mutant(
        "script-leaves-others-behind",
        _SCRIPTS,
        ("    loop.add_reader(ended, kill)\n", "    loop.add_reader(ended, print)\n"),
        _SCRIPT + "a_script_that_kills_who_watches_it_goes_all_the_same",
    ),
    _mutant(
        "script-leaves-a-daemon",
        "agent/services/script_child.py",
        ("    _end_the_rest()\n    if", "    if"),
        _SCRIPT + "a_daemon_that_a_script_starts_ends_with_it_and_does_not_hold_its_step",
    ),
    _mutant(
        "script-whose-time-is-over-leaves-a-daemon",
        _SCRIPTS,
        ("            child.terminate()\n", "            child.kill()\n"),
        _SCRIPT + "a_daemon_does_not_hold_a_step_whose_time_is_over",
    ),
    _mutant(
        "script-heard-to-its-last-daemon",
        _SCRIPTS,
        (
            "        await _end(child)\n",
            "        while await said.read(4096):\n            pass\n        await _end(child)\n",
        ),
        _SCRIPT + "who_escaped_with_the_output_does_not_hold_the_step",
    ),
    _mutant(
        "bundle-over-a-metered-link",
        "agent/services/caretaker.py",
        ('not self.facts().get("link.metered", True)', "True"),
        _OWN + "a_bundle_is_brought_where_bytes_are_free_or_somebody_insists",
    ),
    _mutant(
        "bundle-nudges-in-the-loop",
        "agent/services/caretaker.py",
        (
            "            self.bundles.nudge()\n",
            "            await asyncio.to_thread(self.bundles.nudge)\n",
        ),
        _OWN + "a_bundle_is_brought_where_bytes_are_free_or_somebody_insists",
    ),
    _mutant(
        "bundle-without-an-end",
        "shared/model/support.py",
        ("len(text) > limits.SUPPORT_BYTES or ", ""),
        _OWN + "what_compresses_badly_is_cut_and_a_bomb_is_no_bundle",
    ),
    _mutant(
        "pointed-anywhere",
        "shared/trust/bounds.py",
        ("            if value not in catalog.config.endpoints:\n", "            if False:\n"),
        "tests/unit/test_trust_catalog.py::test_an_agent_is_pointed_only_where_the_catalog_says",
    ),
    _mutant(
        "stream-that-never-ends",
        "agent/drivers/modbus/identify.py",
        (" or following <= max(objects)", ""),
        "tests/contract/test_identification.py::test_a_stream_that_does_not_move_on_ends",
    ),
    _mutant(
        "sync-reads-what-is-never-read",
        "agent/actions/sync.py",
        (
            'for point in profile.points if point.write.verify != "none"]',
            "for point in profile.points]",
        ),
        "tests/contract/test_identification.py::"
        "test_a_point_that_is_never_read_is_not_read_to_sync_a_device",
    ),
    _mutant(
        "broken-rule-holds",
        "agent/actions/validate.py",
        ("UNKNOWN if verdict is None else verdict", "UNKNOWN if verdict is None else True"),
        _CONFIGURATIONS + "each_rule_tells_whether_it_holds_and_a_broken_one_fails_nothing",
    ),
    _mutant(
        "trial-needs-no-readings",
        "agent/services/self_config.py",
        ("            if works and (heard", "            if (heard"),
        _SELF + "a_change_without_readings_rolls_back_by_itself_and_the_step_says_so",
    ),
    _mutant(
        "trial-wants-readings-of-nothing",
        "agent/services/self_config.py",
        (" or (heard and not self._polls)\n", "\n"),
        _SELF + "where_nothing_is_polled_a_contact_is_enough_or_that_the_process_lasts",
    ),
    _mutant(
        "trial-of-nothing-that-nobody-hears",
        "agent/services/self_config.py",
        ("        return not self._polls and not trial.needs_contact\n", "        return False\n"),
        _SELF + "where_nothing_is_polled_a_contact_is_enough_or_that_the_process_lasts",
    ),
    _mutant(
        "trial-of-nothing-needs-no-contact",
        "agent/services/self_config.py",
        ("return not self._polls and not trial.needs_contact", "return not self._polls"),
        _SELF + "where_nothing_is_polled_a_change_of_the_link_needs_a_contact_all_the_same",
    ),
    _mutant(
        "trial-needs-no-contact",
        "agent/services/self_config.py",
        ("(heard or not trial.needs_contact)", "True"),
        _SELF + "a_change_of_the_link_needs_a_contact",
    ),
    _mutant(
        "trial-crashes-for-ever",
        "agent/services/self_config.py",
        ("trial.starts >= limits.TRIAL_STARTS or ", ""),
        _SELF + "settings_that_take_every_process_down_are_rolled_back",
    ),
    _mutant(
        "setting-beyond-the-catalog",
        "shared/trust/bounds.py",
        ("            bound = catalog.config.settings.get(name)\n", "            continue\n"),
        "tests/unit/test_trust_catalog.py::test_a_setting_keeps_within_what_the_catalog_bounds",
    ),
)
