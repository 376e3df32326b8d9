"""A command that cannot do its work says so in one sentence, and leaves nothing half done."""

import getpass
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

import coordinator.__main__
import firmware_sim.__main__
from agent.services.endpoint import parse_url
from coordinator.cli.access import find_access
from coordinator.cli.documents import read_document
from coordinator.cli.job_file import read_job
from coordinator.cli.keyfile import ask_new_passphrase
from coordinator.commands import documents
from coordinator.commands.conclude import confirm
from coordinator.contract.common import Problem
from firmware_sim.model_file import parse_model
from shared.errors import MistakeError

Said: TypeAlias = Callable[..., tuple[int, str]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """Run `outstation-coordinator`; return its status and the one line it wrote of what failed."""

    def run(*words: object) -> tuple[int, str]:
        status = coordinator.__main__.main([str(word) for word in words])
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1, lines
        return status, lines[0].removeprefix("outstation-coordinator: ")

    return run


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data directory of a coordinator that does not run."""
    path = tmp_path_factory.mktemp("founded") / "fleet"
    assert coordinator.__main__.main(["init", str(path)]) == 0
    return path


def python(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)


def names(directory: Path) -> set[str]:
    return {one.name for one in directory.iterdir()}


def test_a_founding_that_fails_leaves_the_directory_empty(tmp_path: Path, said: Said) -> None:
    status, sentence = said("init", tmp_path / "fleet", "--host", "no host")
    assert (status, "no host" in sentence) == (2, True), sentence
    assert names(tmp_path / "fleet") == set()


@pytest.mark.parametrize(
    "url",
    [
        "foo",
        "https://",
        "https://x:y",
        "https://x:99999",
        "https://a b",
        "https://x?y=1",
        "https://me@x",
        "https://\u00fc",
        "http://10.0.0.1:8443",
        "ftp://x",
    ],
)
def test_a_url_that_no_gateway_could_use_is_given_to_none(
    url: str, founded: Path, tmp_path: Path, said: Said
) -> None:
    data, file = ("--data", founded), tmp_path / "file"
    for words in (
        ("init", tmp_path / "fleet"),
        ("claim", "create", *data, "--site", "north", file),
        ("trust", *data, file),
    ):
        status, sentence = said(*words, "--url", url)
        assert (status, sentence.startswith("--url: ")) == (2, True), sentence
    assert names(tmp_path) == set()
    with pytest.raises(MistakeError):
        parse_url(url, where="a gateway says no less")


@pytest.mark.parametrize("url", ["https://x", "https://[::1]:8443/below", "http://127.0.0.1:1"])
def test_a_url_that_gateways_can_use_is_given_to_them(
    url: str, founded: Path, tmp_path: Path
) -> None:
    parse_url(url, where="a gateway")
    words = ["trust", "--data", str(founded), "--url", url, str(tmp_path / "file")]
    assert coordinator.__main__.main(words) == 0


@pytest.mark.parametrize("data", [b"", b"nonsense" * 100])
def test_only_a_copy_is_restored_and_nothing_is_made_for_another_file(
    data: bytes, tmp_path: Path, said: Said
) -> None:
    file = tmp_path / "copy.db"
    file.write_bytes(data)
    status, sentence = said("restore", file, "--data", tmp_path / "back")
    assert (status, sentence) == (2, f"{file}: is no copy that backup made")
    assert names(tmp_path) == {"copy.db"}


def test_a_copy_with_damaged_keys_leaves_no_coordinator_behind(
    founded: Path, tmp_path: Path, said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, back = tmp_path / "copy.db", tmp_path / "back"
    assert coordinator.__main__.main(["backup", "--data", str(founded), str(copy)]) == 0
    capsys.readouterr()
    copy.with_name("copy.db.keys").write_bytes(b"no keys")
    status, sentence = said("restore", copy, "--data", back)
    assert (status, "holds no keys" in sentence) == (2, True), sentence
    assert names(back) <= {"lock"}


def test_a_schema_is_brought_up_to_date_only_where_a_fleet_is(tmp_path: Path, said: Said) -> None:
    status, sentence = said("migrate", "--data", tmp_path / "nowhere")
    assert (status, "no fleet was founded here" in sentence) == (2, True), sentence
    assert names(tmp_path) == set()


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    text = f"""
import resource
from pathlib import Path
from shared.runtime.files import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    write_atomically(Path({str(tmp_path)!r}, "claim.json"), bytes(1_000))
except OSError as error:
    print(error.filename)
"""
    assert python(text).stdout == f"{tmp_path}/claim.json\n"
    assert names(tmp_path) == set()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["fleet", "{0}"], "is no roster (Is a directory)"),
        (["fleet", "{0}/new", "--claim", "{0}"], "is no claim file (Is a directory)"),
    ],
)
def test_a_simulated_fleet_says_what_is_wrong_with_a_file_in_words(
    words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [word.format(tmp_path) for word in words]
    assert firmware_sim.__main__.main(given) == 2
    assert capsys.readouterr().err == f"outstation-sim: {tmp_path}: {sentence}\n"


@pytest.mark.parametrize("count", ["0", "248", "10000000000"])
def test_a_line_has_as_many_simulated_devices_as_addresses(
    capsys: pytest.CaptureFixture[str], count: str
) -> None:
    words = ["device", "pump", "--tcp", "127.0.0.1:0", "--count", count]
    assert firmware_sim.__main__.main(words) == 2
    assert capsys.readouterr().err == "outstation-sim: --count is 1 to 247\n"


def test_a_file_that_holds_a_fleet_gets_no_second_one(
    founded: Path, tmp_path: Path, said: Said
) -> None:
    database = f"sqlite:{founded / 'coordinator.db'}"
    status, sentence = said("init", tmp_path / "fleet", "--database", database)
    assert (status, "holds a fleet already" in sentence) == (2, True), sentence
    assert names(tmp_path) == set()


def test_whoever_stops_a_command_sees_no_traceback(
    founded: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(documents, "_held", stop)
    try:
        ended = said("root", "show", "--data", founded)
    except KeyboardInterrupt:  # which would stop pytest itself
        ended = None
    assert ended == (130, "stopped")


def test_whoever_ends_the_input_types_nothing(
    tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object) -> None:
        raise EOFError

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(getpass, "getpass", end)
    monkeypatch.setattr("builtins.input", end)
    assert said("office", "key", tmp_path / "k.pem") == (2, "no passphrase was typed")
    with pytest.raises(MistakeError, match="no passphrase was typed"):
        ask_new_passphrase()
    assert names(tmp_path) == set()
    assert not confirm("Sign?")


def test_a_reader_who_has_seen_enough_of_an_agent_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text(f'[agent]\ndata_dir = "{tmp_path / "data"}"\n')
    text = f"""
import os, sys
from agent.__main__ import main
reader, writer = os.pipe()
os.close(reader)
os.dup2(writer, 1)
sys.exit(main(["devices", "--config", {str(tmp_path / "agent.toml")!r}]))
"""
    ended = python(text)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("form", ["json", "toml"])
def test_a_number_without_end_is_said_to_be_none(form: str, tmp_path: Path) -> None:
    file, digits = tmp_path / f"job.{form}", "9" * 5_000
    file.write_text(f'{{"name": {digits}}}' if form == "json" else f"name = {digits}\n")
    for read in (
        lambda: read_job(str(file)),
        lambda: read_document(file, Problem),
        lambda: find_access(file, {}),
        lambda: parse_model(file.read_text(), where=str(file)),
    ):
        with pytest.raises(MistakeError) as mistake:
            read()
        assert mistake.value.where == str(file)


@pytest.mark.parametrize("missing", ["cyclopts", "rich"])
def test_a_command_line_without_its_libraries_says_what_to_install(missing: str) -> None:
    text = f"import sys; sys.modules[{missing!r}] = None\n"
    ended = python(text + "from coordinator.cli.entry import main; sys.exit(main())")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"outstation: the command line needs {missing}")
    assert ended.stderr.endswith("pip install 'outstation[cli]'\n")


def test_a_coordinator_without_its_server_says_what_to_install(founded: Path) -> None:
    text = "import sys; sys.modules['aiohttp'] = None\nfrom coordinator.__main__ import main\n"
    ended = python(text + f"sys.exit(main(['run', '--data', {str(founded)!r}]))")
    assert (ended.returncode, ended.stdout) == (2, "")
    mend = "pip install 'outstation[coordinator]'"
    assert ended.stderr == f"outstation-coordinator: this needs aiohttp; {mend}\n"
