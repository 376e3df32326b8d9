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
