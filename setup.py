"""Packaging beyond pyproject.toml: a wheel says when it was built.

An agent without a clock knows by it that it cannot be earlier. A checkout, also an editable
installation of one, was never built and says nothing.
"""

import os
import time
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

STAMP = Path("shared", "runtime", "built_s")


class BuildWithDate(build_py):
    """Writes the stamp beside the modules."""

    def run(self) -> None:
        """Build, then write down when."""
        super().run()
        if not self.editable_mode:
            # Reproducible builds set it (reproducible-builds.org/specs/source-date-epoch).
            built_s = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
            (Path(self.build_lib) / STAMP).write_text(f"{built_s}\n")


if __name__ == "__main__":
    setup(cmdclass={"build_py": BuildWithDate})
