"""Command lines as they stand in texts, and whether the four programs have what these name.

Reads fenced blocks and code in running text. Leaves out what a command does with its values.
"""

import argparse
import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

import agent.__main__
import coordinator.__main__
import firmware_sim.__main__
from coordinator.cli.__main__ import app
from firmware_sim.commands import fleet

_PROGRAM = re.compile(r"(?:\S*/)?(outstation(?:-agent|-coordinator|-sim)?)(?=\s|$)")
_CODE = re.compile(r"(?<!`)(`{1,2})(?!`)(.+?)(?<!`)\1(?!`)")
_END = frozenset({"|", ";", "&", "&&", "||", ">", ">>", "<"})
_BEFORE = frozenset({"sudo", "exec", "$"})


def command_lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each command line of a page with its line number, its program first."""
    fenced, held = False, ""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced:
            held += line
            if held.endswith("\\"):
                held = held[:-1]
                continue
            for words in _commands(held):
                yield number, words
            held = ""
        else:
            for code in _CODE.finditer(line):
                for words in _commands(code[2]):
                    yield number, words


def _commands(line: str) -> Iterator[list[str]]:
    """Split a shell's line into commands, and give those of the four programs."""
    plain = re.sub(r"\.\.\.|…", " ", line).replace("\\|", "|")
    reader = shlex.shlex(plain, punctuation_chars=";&|<>")
    reader.whitespace_split = True
    try:
        words = list(reader)
    except ValueError:
        return  # no shell's line: a quotation mark of a sentence
    command: list[str] = []
    for word in [*words, ";"]:
        if word not in _END:
            command.append(word)
            continue
        while command and (command[0] in _BEFORE or re.match(r"[A-Z_]+=", command[0])):
            command.pop(0)
        if command and (found := _PROGRAM.fullmatch(command[0])):
            yield [found[1], *command[1:]]
        command = []


def complaint(words: Sequence[str]) -> str:
    """Return what a program does not have of what a command line names; empty: it has all of it."""
    program, *rest = words
    rest = [word.strip("[]") for word in rest]
    found = _outstation(rest) if program == "outstation" else _argparse(_parsers()[program], rest)
    if isinstance(found, str):
        return found
    known, path = found
    for word in rest:
        option = word.partition("=")[0]
        if re.fullmatch(r"-{1,2}[a-z][a-z-]*", option) and option not in known:
            return f"{' '.join([program, *path])} has no option {option}"
    return ""


def _parsers() -> dict[str, argparse.ArgumentParser]:
    return {
        "outstation-agent": agent.__main__._parser(),
        "outstation-coordinator": coordinator.__main__._parser(),
        "outstation-sim": firmware_sim.__main__._parser(),
    }


def _argparse(
    parser: argparse.ArgumentParser, words: Sequence[str]
) -> tuple[set[str], list[str]] | str:
    path: list[str] = []
    for word in words:
        below = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
        if not below or word.startswith("-"):
            break
        if word not in below[0].choices:
            return "" if word.isupper() else f"{parser.prog} has no command {word}"
        parser = below[0].choices[word]
        path.append(word)
    if path == ["fleet"]:
        fleet.add_fleet_options(parser)
    return set(parser._option_string_actions), path


def _outstation(words: list[str]) -> tuple[set[str], list[str]] | str:
    while words and words[0].startswith("--"):
        del words[: 1 if words[0] == "--json" or "=" in words[0] else 2]
    path, apps, rest = app.parse_commands(words)
    last: Any = apps[-1]
    if last.default_command is None:
        named = rest[0] if rest else ""
        stops = not named or named.startswith("-") or named.isupper()
        where = " ".join(["outstation", *path])
        return ({"--help", "--version"}, list(path)) if stops else f"{where} has no command {named}"
    arguments = last.assemble_argument_collection()
    return {name for one in arguments for name in one.names} | {"--help"}, list(path)
