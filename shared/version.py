"""Which version of the product this is, for `--version` and for whoever asks a coordinator."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any


def product_version() -> str:
    """Return the installed version; "0" in a checkout that is not installed."""
    # Reading what is installed costs a start more memory than all else here; few programs ask.
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version("outstation")
    except PackageNotFoundError:
        return "0"


class VersionAction(argparse.Action):
    """`--version` of a program: prints it, and only then looks for it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Print the version and end the program."""
        sys.stdout.write(f"{parser.prog} {product_version()}\n")
        parser.exit()


def add_version(parser: argparse.ArgumentParser) -> None:
    """Let a program tell its version."""
    parser.add_argument("--version", action=VersionAction, nargs=0, help="tell the version")
