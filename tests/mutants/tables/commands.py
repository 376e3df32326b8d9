"""Command lines: what people are shown, and what becomes of what comes over the line."""

from tests.mutants.mutant import Mutant, cuts

_CLI = "tests/unit/test_cli.py::test_"
_FORMULAS = "only_a_spreadsheet_is_kept_from_taking_names_for_formulas"
_ARTIFACTS = "tests/unit/test_cli_artifacts.py::test_"
_LOCK = "tests/unit/test_site_lock.py::test_"

_show = cuts(
    "show", "coordinator/cli/show.py", _CLI, usual="text_is_printed_as_it_is_and_moves_no_cursor"
)
_approvals = cuts(
    "sign", "coordinator/cli/approvals.py", "tests/system/test_cli_approvals.py::test_"
)


def _mistakes(name: str, file: str, old: str, new: str, test: str) -> Mutant:
    tests = (f"tests/unit/test_command_mistakes.py::test_{test}",)
    return Mutant(f"mistake-{name.replace('/', '-')}", file, old, new, tests)


_reach = cuts(
    "reach",
    "coordinator/commands/options.py",
    "tests/unit/test_command_mistakes.py::test_",
    usual="a_url_that_no_gateway_could_use_is_given_to_none",
)
_lock = cuts("lock", "agent/services/site_lock.py", _LOCK)

COMMANDS = (
    _show(
        "text-plain",
        "print(plain(line), markup=False, emoji=False, soft_wrap=True)",
        "print(line, markup=False, emoji=False, soft_wrap=True)",
        "a_file_that_is_shown_to_people_moves_no_cursor",
    ),
    _show(
        "text-emoji",
        "print(plain(line), markup=False, emoji=False, soft_wrap=True)",
        "print(plain(line), markup=False, soft_wrap=True)",
    ),
    _show(
        "text-long",
        "print(plain(line), markup=False, emoji=False, soft_wrap=True)",
        "print(plain(line), markup=False, emoji=False)",
    ),
    _show("cell-plain", "else plain(str(value))", "else str(value)"),
    _show("warn-plain", '{plain(line)}"', '{line}"'),
    _show("whole", "self.console.file.write(text)", "self.text(text)"),
    _approvals(
        "folded",
        "for part in folded(line, screen.width):",
        "for part in [line]:",
        "no_text_of_a_job_looks_like_a_field_of_it",
    ),
    _approvals("fresh-line", "    client.close()\n", "", "an_approver_may_take_his_time"),
    cuts("follow", "coordinator/cli/events.py", "tests/unit/test_cli_follower.py::test_")(
        "whole-event",
        "number = int(value)",
        "self.after = number = int(value)",
        "a_link_that_breaks_anywhere_costs_no_event",
    ),
    cuts("csv", "coordinator/cli/readings_show.py", _CLI)(
        "pieces",
        'codecs.iterdecode(pieces, "utf-8", "replace")',
        "map(bytes.decode, pieces)",
        "a_piece_of_csv_may_end_within_a_letter",
    ),
    _lock(
        "at-once",
        "        self._due = due\n        self.changed()\n        kept",
        "        kept",
        "it_holds_before_a_slow_disk_has_it_and_is_kept_as_it_was_said_last",
    ),
    _lock(
        "in-order",
        "            async with self._turn:\n                await asyncio.to_thread(write",
        "            if True:\n                await asyncio.to_thread(write",
        "it_holds_before_a_slow_disk_has_it_and_is_kept_as_it_was_said_last",
    ),
    cuts("lock", "agent/services/ask.py", _LOCK)(
        "silence",
        "except (FileNotFoundError, ConnectionRefusedError):",
        "except OSError:",
        "an_agent_of_somebody_else_does_not_count_as_none",
    ),
    cuts("lock", "agent/services/ask.py", _LOCK)(
        "hung-up",
        '    raise ConnectionResetError(errno.ECONNRESET, "it ended before its answer")\n',
        "    return None\n",
        "an_agent_that_does_not_answer_may_do_anything",
    ),
    cuts("push", "coordinator/cli/artifacts_carry.py", _ARTIFACTS)(
        "busy",
        "passing = error.passing or error.code is",
        "passing = error.code is Exit.UNREACHABLE or error.code is",
        "who_says_that_he_is_busy_is_asked_again",
    ),
    cuts("artifact", "coordinator/cli/artifacts.py", _ARTIFACTS)(
        "named",
        "    if not digits:\n",
        "    if False:\n",
        "nothing_names_no_artifact_also_where_there_is_only_one",
    ),
    _reach(
        "letters", 'if not text.isascii() or not text.isprintable() or " " in text:', "if False:"
    ),
    _reach("host", "if not host or parts.scheme", "if parts.scheme"),
    _reach("scheme", 'parts.scheme not in {"http", "https"} or ', ""),
    _reach("query", " or parts.query or parts.username", ""),
    _reach("clear-text", 'if parts.scheme == "http" and', "if False and"),
    cuts("jobs", "coordinator/cli/jobs.py", "tests/system/test_cli_approvals.py::test_")(
        "show-denied",
        "if error.code is not Exit.DENIED:",
        "if True:",
        "whoever_may_read_jobs_alone_is_told_how_many_they_wait_for",
    ),
    cuts("tables", "coordinator/cli/tables.py", _CLI, usual=_FORMULAS)(
        "csv-list",
        "    plain = _plain(value)\n",
        "    plain = _plain(value)\n    if isinstance(value, list):\n        return plain\n",
    ),
    cuts("tables", "coordinator/cli/tables.py", _CLI, usual=_FORMULAS)(
        "people", "else _plain(value)\n\n\n", "else _in_csv(value)\n\n\n"
    ),
    _mistakes(
        "one-fleet",
        "coordinator/errands.py",
        "if not place.postgres and not place.database.exists():",
        "if not place.postgres:",
        "a_file_that_holds_a_fleet_gets_no_second_one",
    ),
    _mistakes(
        "stopped",
        "coordinator/__main__.py",
        "except KeyboardInterrupt:",
        "except GeneratorExit:",
        "whoever_stops_a_command_sees_no_traceback",
    ),
    *(
        _mistakes(
            f"input-{name}",
            f"coordinator/{name}.py",
            "except EOFError:",
            "except GeneratorExit:",
            "whoever_ends_the_input_types_nothing",
        )
        for name in ("cli/keyfile", "commands/office", "commands/conclude")
    ),
    _mistakes(
        "reader-gone",
        "agent/__main__.py",
        "except BrokenPipeError:",
        "except GeneratorExit:",
        "a_reader_who_has_seen_enough_of_an_agent_is_no_trouble",
    ),
    _mistakes(
        "addresses",
        "firmware_sim/__main__.py",
        "if not 1 <= given.count <= limits.SIM_UNITS:",
        "if not 1 <= given.count <= 300:",
        "a_line_has_as_many_simulated_devices_as_addresses",
    ),
    *(
        _mistakes(
            f"digits-{name}",
            f"{name}.py",
            "except (ValueError, RecursionError) as error:",
            f"except {only} as error:",
            "a_number_without_end_is_said_to_be_none",
        )
        for name, only in (
            ("coordinator/cli/documents", "(tomllib.TOMLDecodeError, json.JSONDecodeError)"),
            ("coordinator/cli/access", "tomllib.TOMLDecodeError"),
            ("coordinator/cli/job_file", "json.JSONDecodeError"),
            ("firmware_sim/model_file", "tomllib.TOMLDecodeError"),
        )
    ),
    cuts("readings", "coordinator/cli/readings_show.py", _CLI)(
        "far-time",
        "except (ValueError, OverflowError):",
        "except ValueError:",
        "what_is_no_time_is_refused",
    ),
    cuts("spell", "coordinator/cli/spell.py", _CLI)(
        "folded-mark",
        'mark = f"{indent}{_STEP}| "',
        'mark = ""',
        "no_part_of_a_line_that_is_signed_looks_like_a_field",
    ),
)
