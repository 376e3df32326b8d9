"""Rows of a gateway's store that damage altered: what they cost, and what they must not."""

from tests.mutants.mutant import Mutant, cuts

_TESTS = "tests/unit/test_unreadable_rows.py::test_"

_receipts = cuts("unreadable", "agent/store/receipts.py", _TESTS)
_file = cuts("unreadable", "agent/store/jobs_file.py", _TESTS)
_carried = cuts("unreadable", "agent/store/carried.py", _TESTS)
_tales = cuts("unreadable", "agent/store/standing_rows.py", _TESTS)
_database = cuts("unreadable", "shared/runtime/db.py", _TESTS)
_coordinator = cuts("unreadable", "coordinator/transactions/receipts.py", _TESTS)
_rows = cuts("unreadable", "agent/store/stored.py", _TESTS)
_sqlite = cuts("unreadable", "shared/runtime/sqlite.py", "tests/unit/test_damaged_words.py::test_")
_NEVER = "what_reads_well_and_was_never_written_costs_the_file_too"
_NONE = "a_state_or_a_reason_that_there_is_none_of_is_found_at_the_start"
_ANEW = "an_unreadable_receipt_keeps_its_number_and_what_it_told_is_told_anew"
_COSTS = "a_job_that_is_not_what_was_admitted_costs_the_file_and_nothing_else"
_READ_AGAIN = "tests/unit/test_signed_form.py::test_"
_signed = cuts("signed-form", "coordinator/contract/signed_form.py", _READ_AGAIN)
_COMMANDS = "tests/system/test_cli_jobs.py::test_"

UNREADABLE = (
    _signed(
        "wide-integers",
        "    if isinstance(value, int) and not -limits.INT_MAX <= value",
        "    if isinstance(value, int) and not -limits.INT_MAX - 1 <= value",
        "what_nobody_could_read_again_is_pointed_at",
    ),
    _signed(
        "many-members",
        "        if len(value) > limits.ITEMS_PER_MAP:\n",
        "        if len(value) > limits.ITEMS_PER_MAP + 1:\n",
        "what_nobody_could_read_again_is_pointed_at",
    ),
    Mutant(
        "signed-form-not-looked-at-in-a-file",
        "coordinator/cli/job_file.py",
        "            signed_form(spec)\n",
        "",
        (_COMMANDS + "a_job_that_no_agent_could_read_is_refused_wherever_it_is_looked_at",),
    ),
    Mutant(
        "signed-form-beyond-counting",
        "coordinator/contract/job_parts.py",
        "    if not math.isfinite(body.multiplier * _MILLION):\n",
        "    if False:\n",
        ("tests/system/test_coordinator_rest.py::test_a_job_that_cannot_be_meant_is_pointed_at",),
    ),
    Mutant(
        "unreadable-job-shown",
        "coordinator/transactions/rows.py",
        "    except RefusedError:\n        return None\n",
        "    except KeyError:\n        return None\n",
        (
            _READ_AGAIN + "a_job_that_nobody_can_read_is_listed_and_says_so",
            _READ_AGAIN + "a_job_that_nobody_can_read_keeps_no_other_from_its_agent",
        ),
    ),
    Mutant(
        "unreadable-job-done-twice",
        "coordinator/transactions/issue.py",
        "    return spec is not None and all(",
        "    return all(",
        (_READ_AGAIN + "a_job_that_nobody_can_read_keeps_no_other_from_its_agent",),
    ),
    _receipts(
        "number-given-up",
        """        found.append(receipt)
    if unreadable:""",
        """        found.extend([] if receipt.is_void else [receipt])
    if unreadable:""",
        _ANEW,
    ),
    _receipts("told-no-more", "        _tell_anew(db, told, at)\n", "", _ANEW),
    _receipts(
        "void-for-a-report",
        'db.execute(_SQL["void_receipt"], bind(its, pack(receipt)))',
        "pass",
        _ANEW,
    ),
    _receipts(
        "any-number",
        "receipt if receipt.number == number else None",
        "receipt",
        "a_receipt_under_another_number_than_its_own_is_unreadable",
    ),
    _file("job-tried-for-ever", "isinstance(failure, UnreadableRowError) or (", "(", _COSTS),
    _database(
        "file-touched-again",
        """            if error.reason in BREAKING:
                self._fail(error)
            raise
""",
        "            raise\n",
        "nothing_is_written_to_a_file_that_a_reader_found_damaged",
    ),
    _file(
        "numbers-that-are-taken",
        "except sqlite3.IntegrityError as error:",
        "except ZeroDivisionError as error:",
        _NEVER,
    ),
    _file("state-of-nothing", "        check_words(db)\n", "", _NONE),
    _rows("reason-of-nothing", " or reason not in _REASONS", "", _NONE),
    _rows("letter-of-a-job", "if sha256(packed).digest() != digest:", "if False:", _NEVER),
    _sqlite(
        "format-of-the-future",
        "if any(one not in _KNOWN_FORMATS for one in formats):",
        "if False:",
        "a_format_that_no_sqlite_writes_is_damage",
    ),
    _file(
        "tried-for-ever",
        "(is_corrupt and self._suspected)",
        "False",
        "a_file_that_fails_once_is_kept_and_one_that_soon_fails_again_is_not",
    ),
    _file(
        "closed-for-ever",
        "            self._database = None  # opened anew if the next is refused\n",
        "",
        "a_file_that_cannot_be_set_aside_at_once_is_later",
    ),
    _carried(
        "asked-for-is-asked-for",
        "except RefusedError:",
        "except ZeroDivisionError:",
        "what_a_stick_asked_for_and_nobody_can_read_is_forgotten",
    ),
    _tales(
        "result-of-a-tale",
        "    except RefusedError:\n        return {}",
        "    except ZeroDivisionError:\n        return {}",
        "a_tale_whose_result_cannot_be_read_is_told_without_it",
    ),
    _file(
        "index-believed",
        "            if with_indexes:\n",
        "            if False:\n",
        "an_index_that_says_something_else_than_its_table_is_found_once_a_file_failed",
    ),
    _rows(
        "counters-raised",
        "if crc32(packed).to_bytes(_CRC_BYTES) != checksum:",
        "if False:",
        "counters_that_damage_raised_shut_out_no_order",
    ),
    _coordinator(
        "taken-for-an-older-card",
        " and not one.is_void]",
        "]",
        "a_void_receipt_closes_the_gap_and_is_no_sign_of_an_older_card",
    ),
)
