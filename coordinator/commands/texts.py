"""Catalog and policy files that people write, read from the disk."""

from pathlib import Path

from coordinator.core.catalog_text import CatalogText, parse_catalog
from coordinator.core.policy_text import PolicyText, parse_policy
from shared import limits
from shared.errors import MistakeError
from shared.model.profile import Profile, parse_profile


def read_catalog(path: Path) -> CatalogText:
    """Return the catalog in a file; profiles that it names lie beside it.

    Raises:
        MistakeError: with the line at fault.
    """

    def profile_file(name: str) -> Profile:
        place = path.parent / name
        return parse_profile(_read(place), source=str(place))

    return parse_catalog(_read(path), source=str(path), profile_file=profile_file)


def read_policy(path: Path) -> PolicyText:
    """Return the policy in a file.

    Raises:
        MistakeError: with the line at fault.
    """
    return parse_policy(_read(path), source=str(path))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(limits.DOCUMENT_BYTES + 1).decode()
    except OSError as error:
        raise MistakeError(f"cannot be read ({error.strerror})", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise MistakeError("is not UTF-8 text", where=str(path)) from error
