"""The bench of contacts says what cannot be measured before it starts anything."""

import argparse

import pytest

from shared.errors import MistakeError
from tests.bench import contacts


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    contacts.add_arguments(parser)
    return parser.parse_args(arguments)


def test_two_replicas_need_postgres():
    with pytest.raises(MistakeError, match="--replicas"):
        contacts.run(options("--replicas", "2"))


def test_each_engine_and_what_is_not_told_can_be_measured():
    contacts.check(options())
    contacts.check(options("--database", "postgres"))
    contacts.check(options("--database", "postgres", "--replicas", "2"))


def test_what_is_taken_in_as_blocks_is_taken_in_as_rows_and_rolled_up():
    found = contacts.run(options("--ingest", "--waves", "1"))
    assert found["readings"] == 16 * 1_024
    for name in ("blocks", "rows", "rollups"):
        figures = found[name]
        assert isinstance(figures, dict)
        assert figures["readings_per_s"] > 0, name


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (("--registered", "1000"), "--registered"),
        (("--registered", "5000", "--callers", "5001"), "--callers"),
        (("--registered", "5000", "--callers", "0"), "--callers"),
        (("--registered", "5000", "--ingest"), "--ingest"),
    ],
)
def test_a_growth_that_is_none_is_refused(arguments, where):
    with pytest.raises(MistakeError, match=where):
        contacts.run(options(*arguments))
