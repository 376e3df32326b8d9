"""Command lines: what people are shown, and what becomes of what comes over the line."""

from tests.mutants.mutant import cuts

_CLI = "tests/unit/test_cli.py::test_"

_show = cuts(
    "show", "coordinator/cli/show.py", _CLI, usual="text_is_printed_as_it_is_and_moves_no_cursor"
)
_approvals = cuts(
    "sign", "coordinator/cli/approvals.py", "tests/system/test_cli_approvals.py::test_"
)

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
    cuts("spell", "coordinator/cli/spell.py", _CLI)(
        "folded-mark",
        'mark = f"{indent}{_STEP}| "',
        'mark = ""',
        "no_part_of_a_line_that_is_signed_looks_like_a_field",
    ),
)
