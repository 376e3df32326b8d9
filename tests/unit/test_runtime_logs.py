"""Log lines: one object each, bounded, and never a secret."""

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest

from shared import limits
from shared.runtime.logs import Events, configure_logging, redact

TOKEN = "ost_" + "Zm9vYmFy" * 5
PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----\n"


class Terminal(io.StringIO):
    """A stream with a person in front of it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def restored() -> Iterator[None]:
    """Put the process' logging back as pytest had it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def written(restored: None) -> Callable[..., str]:
    stream = io.StringIO()
    configure_logging(stream=stream, human=False)
    return stream.getvalue


@pytest.fixture
def shown(restored: None) -> Callable[..., str]:
    stream = Terminal()
    configure_logging(stream=stream)
    return stream.getvalue


log = Events("agent.uplink")


def raised(text: str) -> PermissionError:
    """Return an error that has a traceback."""
    with pytest.raises(PermissionError) as caught:
        _raise(text)
    return caught.value


def _raise(text: str) -> None:
    raise PermissionError(text)


def test_an_event_is_one_json_object_with_its_fields(written):
    log.event("block_sealed", seq=17, ratio=0.5, urgent=True, nothing=None, agent=b"\x01\x02")
    line = json.loads(written())
    assert written().count("\n") == 1
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "agent.uplink",
        "event": "block_sealed",
        "seq": 17,
        "ratio": 0.5,
        "urgent": True,
        "nothing": None,
        "agent": "0102",
    }


def test_a_level_below_the_chosen_one_is_not_written(written):
    log.event("detail", level=logging.DEBUG)
    assert written() == ""


def test_a_librarys_sentence_passes_as_a_message(written):
    logging.getLogger("aiohttp.server").warning("odd request from %s", "10.0.0.9")
    line = json.loads(written())
    assert (line["event"], line["text"]) == ("message", "odd request from 10.0.0.9")


def test_a_field_cannot_pass_for_the_lines_own(written):
    fields = {"event": "forged", "at": "1970", "logger": "root", "level_name": "x"}
    vars(log)["_logger"].info("real", extra={"outstation_fields": fields})
    line = json.loads(written())
    assert (line["event"], line["logger"]) == ("real", "agent.uplink")
    assert (line["field_event"], line["field_at"], line["field_logger"]) == (
        "forged",
        "1970",
        "root",
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("token", TOKEN),
        ("admin_token", "plain"),
        ("password", "hunter2"),
        ("private_key", b"\x00" * 16),
        ("Authorization", "whatever"),
        ("url", f"https://host/?access={TOKEN}"),
        ("header", "Bearer eyJhbGciOiJFZERTQSJ9.e30.abc"),
        ("pem", PEM),
        ("cut_pem", PEM[:50]),
        ("seed", bytes(range(32))),
    ],
)
def test_secrets_are_not_written(written, field, value):
    log.event("login", **{field: value})
    for secret in (TOKEN, "plain", "hunter2", "00000000", "whatever", "eyJ", "MC4CAQ", "0102030"):
        assert secret not in written()
    assert json.loads(written())["event"] == "login"


def test_a_count_of_tokens_is_no_secret(written):
    log.event("swept", tokens_left=3)
    assert json.loads(written())["tokens_left"] == 3


def test_secrets_in_tracebacks_and_sentences_are_not_written(written):
    log.event("refused", level=logging.ERROR, error=raised(f"denied for {TOKEN}"))
    logging.getLogger("x").warning("with %s", TOKEN)
    assert TOKEN not in written()
    refused = json.loads(written().splitlines()[0])
    assert "PermissionError: denied for ost_[redacted]" in refused["traceback"]


def test_a_peer_cannot_fill_the_log_with_one_field(written):
    log.event("refused", detail="x" * 10**6)
    assert len(written()) < limits.LOG_FIELD_CHARS + 500


def test_an_object_of_any_kind_is_written_somehow(written):
    vars(log)["_logger"].info("odd", extra={"outstation_fields": {"odd": {1, 2}}})
    assert json.loads(written())["odd"] == "{1, 2}"


def test_a_terminal_gets_lines_for_eyes(shown):
    log.event("block_sealed", seq=17, text="two words")
    line = shown()
    assert line.endswith('INFO    block_sealed seq=17 text="two words"\n')
    assert "{" not in line


def test_a_peer_cannot_write_to_the_terminal(shown):
    log.event("refused", detail="\x1b[2J\nINFO    all_is_well")
    assert "\x1b" not in shown()
    assert shown().count("\n") == 1


def test_a_terminal_gets_tracebacks_below_the_line(shown):
    log.event("crashed", error=raised("bad frame"))
    assert shown().count("Traceback (most recent call last)") == 1
    assert "PermissionError: bad frame" in shown()


def test_configuring_twice_writes_once(restored):
    stream = io.StringIO()
    for _ in range(2):
        configure_logging(stream=stream, human=False)
    log.event("once")
    assert stream.getvalue().count("once") == 1


def test_redaction_leaves_other_text_alone():
    text = "post_office ost_ Bearer of news: basic truth about ghost_writer"
    assert redact(text) == text
