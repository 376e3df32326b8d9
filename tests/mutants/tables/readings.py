"""The promises about readings: the living are polled, what is held back is bounded and counted."""

from tests.mutants.mutant import Mutant

_JUDGE = "tests/unit/test_judge.py::test_"
_BOUNDS = "tests/property/test_judging_properties.py::test_"
_SAMPLER = "tests/unit/test_sampler.py::test_"
_URGENCY = "tests/unit/test_urgency.py::test_"
_QUALITY = _JUDGE + "a_change_of_quality_is_never_held_back"
_ACCOUNT = _BOUNDS + "everything_sampled_is_recorded_or_suppressed"
_FILE = "tests/unit/test_runtime_db_file.py::test_"
_WORDS = "tests/unit/test_damaged_words.py::test_"
_DAMAGE = "tests/power/test_damage.py::test_"

_RECOVERY = "tests/unit/test_telemetry_recovery.py::test_"
_GAPS = "tests/unit/test_agent_gaps_and_health.py::test_"
_UPLINK = "tests/simulation/test_uplink.py::test_"

READINGS = (
    Mutant(
        "store-row-that-cannot-be",
        "agent/store/recovery.py",
        '    quick_check(db, "telemetry.db", table="state")\n',
        "",
        (_DAMAGE + "whatever_is_damaged_of_the_row_that_counts_the_agent_starts",),
    ),
    Mutant(
        "store-full-that-is-damage",
        "shared/runtime/db.py",
        "            if damage := await connection.call(damage_of, self._where):\n",
        "            if damage := None:\n",
        (_FILE + "a_file_whose_disk_is_said_to_be_full_is_looked_at_for_damage",),
    ),
    Mutant(
        "store-schema-that-no-parser-takes",
        "shared/runtime/sqlite.py",
        '"unsupported file format", "malformed database schema")',
        '"unsupported file format")',
        (_WORDS + "a_schema_that_its_parser_refuses_is_damage_whatever_code_it_ended_with",),
    ),
    Mutant(
        "store-row-longer-than-any",
        "shared/runtime/sqlite.py",
        "    sqlite3.SQLITE_TOOBIG: Reason.STORE_CORRUPT,\n",
        "",
        (_WORDS + "a_row_that_is_longer_than_any_is_damage",),
    ),
    Mutant(
        "store-half-written-is-taken-back",
        "shared/runtime/sqlite.py",
        "    if journal.exists() and journal.stat().st_size > 0:\n",
        "    if False:\n",
        (_WORDS + "a_header_that_a_power_cut_left_half_written_is_no_damage",),
    ),
    Mutant(
        "store-epoch-that-is-nothing",
        "agent/store/account.py",
        "if one is not None and crc32(one) == crc]",
        "if crc32(one) == crc]",
        (_RECOVERY + "an_epoch_that_damage_altered_is_known_by_its_copy",),
    ),
    Mutant(
        "store-alarms-leave-gaps",
        "shared/sync/outgoing.py",
        "    if gaps > limits.RANGES_OPEN:\n",
        "    if False:\n",
        (_GAPS + "alarms_between_readings_leave_no_more_gaps_than_a_coordinator_remembers",),
    ),
    Mutant(
        "store-gaps-are-counted",
        "agent/services/contact.py",
        "gaps=len(Ranges.of(waiting)),",
        "gaps=0,",
        (_UPLINK + "readings_go_before_alarms_once_those_leave_too_many_gaps",),
    ),
    Mutant(
        "store-what-its-tables-refuse",
        "agent/store/telemetry_file.py",
        "except sqlite3.IntegrityError as error:",
        "except sqlite3.NotSupportedError as error:",
        (_RECOVERY + "a_file_whose_tables_refuse_what_is_counted_on_is_set_aside",),
    ),
    Mutant(
        "store-epoch-of-the-row",
        "agent/store/account.py",
        "state.epoch = StoreEpoch(sound[0] if sound else other)",
        "pass",
        (_RECOVERY + "an_epoch_that_damage_altered_is_known_by_its_copy",),
    ),
    Mutant(
        "store-epoch-of-nobody",
        "agent/store/account.py",
        "if not sound and state.epoch != other:",
        "if False:",
        (_RECOVERY + "a_file_that_does_not_say_whose_readings_it_has_is_set_aside",),
    ),
    Mutant(
        "store-condition-that-names-nothing",
        "shared/runtime/sqlite.py",
        "        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:\n            raise\n",
        "        raise\n",
        (_WORDS + "a_condition_that_names_no_function_is_damage",),
    ),
    Mutant(
        "judge-deadband-quality",
        "agent/core/deadband.py",
        "if quality is kept_quality and self._near(kept, value):",
        "if self._near(kept, value):",
        (_QUALITY,),
    ),
    Mutant(
        "judge-deadband-heartbeat",
        "agent/core/deadband.py",
        "if not self._heartbeat_ms or at.mono_ms - kept_ms < self._heartbeat_ms:",
        "if True:",
        (_JUDGE + "a_heartbeat_keeps_a_reading_that_says_nothing_new",),
    ),
    Mutant(
        "judge-deadband-rounds",
        "agent/core/deadband.py",
        "        if abs(over) > (abs(value) + abs(kept) + band) * _ROUNDING:\n",
        "        if True:\n",
        (_JUDGE + "a_step_of_exactly_the_band_is_within_it_wherever_it_is_taken",),
    ),
    Mutant(
        "judge-door-quality",
        "agent/core/door.py",
        "if value is None or changed or self._corner is None or self._stepped(at):",
        "if value is None or self._corner is None or self._stepped(at):",
        (_QUALITY,),
    ),
    Mutant(
        "judge-door-step",
        "agent/core/door.py",
        "or self._corner is None or self._stepped(at):",
        "or self._corner is None:",
        (_JUDGE + "a_set_clock_ends_a_line",),
    ),
    Mutant(
        "judge-door-opening",
        "agent/core/door.py",
        "self._low = max(self._low, _slope(since, start, at, value - self._bound))",
        "self._low = _slope(since, start, at, value - self._bound)",
        (_JUDGE + "a_line_is_near_to_every_reading_behind_it_not_only_to_the_last",),
    ),
    Mutant(
        "judge-door-before-the-start",
        "agent/core/door.py",
        "if first and value is not None:",
        "if False:",
        (_JUDGE + "nothing_is_claimed_about_the_time_before_the_first_reading",),
    ),
    Mutant(
        "judge-door-silent",
        "agent/core/door.py",
        "                return self._gap(at)\n",
        "                return Fate.HELD\n",
        (_JUDGE + "a_door_tells_of_a_silence_as_often_as_of_a_straight_line",),
    ),
    Mutant(
        "judge-account",
        "agent/core/judge.py",
        "suppressed = poll.held - len(poll.late) - len(poll.breaks) - self._owed",
        "suppressed = poll.held",
        (_ACCOUNT,),
    ),
    Mutant(
        "judge-empty-poll",
        "agent/core/judge.py",
        "        if not rows:\n            return [PollRow(",
        "        if not rows:\n            return [] and [PollRow(",
        (_ACCOUNT,),
    ),
    Mutant(
        "judge-counter-modulus",
        "agent/core/counter.py",
        "if 2 * over <= modulus:",
        "if False:",
        (_BOUNDS + "a_counter_adds_up_across_its_modulus_however_often",),
    ),
    Mutant(
        "judge-counter-zero",
        "agent/core/counter.py",
        "first, last = Decimal(repr(before)) - zero, Decimal(repr(now)) - zero",
        "first, last = Decimal(repr(before)), Decimal(repr(now))",
        (_JUDGE + "a_counter_with_an_offset_begins_again_there",),
    ),
    Mutant(
        "judge-counter-offset",
        "agent/core/sampler.py",
        "        zero=point.offset,\n",
        "",
        (_JUDGE + "the_increase_of_a_point_knows_its_offset",),
    ),
    Mutant(
        "bus-probe-share",
        "agent/core/sampler.py",
        "return max(begins_ms, self._probes_from_ms), index",
        "return begins_ms, index",
        (_SAMPLER + "probes_share_a_busy_bus_without_gaps_by_their_length",),
    ),
    Mutant(
        "bus-utilisation",
        "agent/config_devices.py",
        "if not load.fits:",
        "if False:",
        (
            "tests/unit/test_config.py::test_a_line_that_cannot_keep_up_is_refused_with_the_arithmetic",
        ),
    ),
    Mutant(
        "priority-gap",
        "agent/core/urgency.py",
        "self._urgent[device] = max(now_ms, free_ms)",
        "self._urgent[device] = now_ms",
        (_URGENCY + "a_device_is_urgent_at_once_and_then_at_most_every_half_minute",),
    ),
    Mutant(
        "priority-refused",
        "agent/services/urgency.py",
        "                self._deadlines.refused(urgent, self._clock.mono_ms())\n",
        "                pass\n",
        (_URGENCY + "an_alarm_that_the_disk_refuses_is_told_once_it_is_taken",),
    ),
    Mutant(
        "priority-refused-is-said",
        "agent/store/committer.py",
        "            await commit\n        except WorldError:\n            return False\n",
        "            await commit\n        except WorldError:\n            pass\n",
        (
            "tests/unit/test_telemetry_disks.py::test_whoever_hurries_is_told_whether_the_disk_took_it",
        ),
    ),
    Mutant(
        "priority-sealed",
        "agent/store/blocks.py",
        "        if hasty and not routine:\n            state.sealed = state.next_block - 1\n",
        "",
        (_URGENCY + "an_urgent_block_never_grows",),
    ),
)
