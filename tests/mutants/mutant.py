"""What a mutant is: one check of the source taken out, and the tests that must notice."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mutant:
    """One edit that makes the product worse."""

    name: str
    file: str
    """From the root of the tree."""
    old: str
    """Stands in the file exactly once."""
    new: str
    tests: tuple[str, ...]
    """What pytest is asked to run; at least one of them has to fail."""
    says: str = ""
    """What has to be said of it: a world that fails for another reason has not noticed."""

    def apply(self, tree: Path) -> str:
        """Return the file's text with the edit.

        Raises:
            ValueError: the text to replace is not there exactly once: the source moved on.
        """
        text = (tree / self.file).read_text()
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"{self.name}: its text stands {count} times in {self.file}")
        return text.replace(self.old, self.new)


def cuts(prefix: str, file: str, where: str = "", *, usual: str = "") -> Callable[..., Mutant]:
    """Return what makes the mutants of one file: ``(name, old, new, *tests, says)``.

    Args:
        prefix: their names begin with it.
        file: from the root of the tree.
        where: how the names of their tests begin.
        usual: the test of those that name none.
    """

    def cut(name: str, old: str, new: str, *tests: str, says: str = "") -> Mutant:
        named = tuple(where + test for test in tests or (usual,))
        return Mutant(f"{prefix}-{name}", file, old, new, named, says)

    return cut
