"""Parsers of packaged SQL and the log's redaction, on text nobody thought of."""

import io
import json
import logging

from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.logs import JsonFormat, redact
from shared.runtime.migrations import statements
from shared.runtime.queries import parse_queries

name = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
statement = st.from_regex(r"SELECT \$[1-9](,\n  \$[1-9])*( -- why)?\n", fullmatch=True)
token = st.from_regex(r"ost_[A-Za-z0-9_-]{20,60}", fullmatch=True)
around = st.text(st.characters(exclude_categories=["L", "N"], exclude_characters="_-"), max_size=30)


@given(st.dictionaries(name, statement, min_size=1))
def test_every_named_statement_is_found_under_its_name(blocks):
    text = "".join(f"-- name: {key}\n-- a remark\n{body};\n\n" for key, body in blocks.items())
    parsed = parse_queries(text)
    assert list(parsed) == list(blocks)
    assert {key: body.strip() for key, body in blocks.items()} == dict(parsed)


@given(st.lists(st.tuples(st.sampled_from(["", "-- note;\n", "\n"]), statement)))
def test_a_script_splits_into_its_statements(parts):
    # A remark ends before its semicolon, or the statement would not end there.
    script = "".join(f"{before}{body.replace(' -- why', '').strip()};\n" for before, body in parts)
    found = list(statements(script))
    assert len(found) == len(parts)
    assert "\n".join(found).replace("\n\n", "\n").count("SELECT") == len(parts)


@given(around, token, around)
def test_a_token_never_survives(before, secret, after):
    assert secret[4:] not in redact(f"{before}{secret}{after}")


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.binary() | st.floats()))
def test_every_event_is_one_line_of_json(fields):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormat())
    record = logging.LogRecord("a", logging.INFO, "", 0, "happened", None, None)
    record.__dict__["outstation_fields"] = fields
    handler.emit(record)
    assert stream.getvalue().count("\n") == 1
    assert json.loads(stream.getvalue())["event"] == "happened"
