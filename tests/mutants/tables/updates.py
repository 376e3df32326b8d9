"""Firmware of devices: judged before anything is sent, on trial, and never for another board."""

from tests.mutants.mutant import Mutant

_UPDATE = "tests/simulation/test_firmware.py::test_"
_IMAGE = "agent/core/firmware_image.py"
_ACTION = "agent/actions/update_firmware.py"
_CORE = "agent/core/firmware.py"
_BOUNDS = "shared/trust/bounds.py"
_LISTED = "tests/unit/test_trust_catalog.py::test_"
_ONLY_LISTED = _LISTED + "only_a_listed_image_goes_into_a_board_of_its_class"
_BAD = _UPDATE + "a_bad_image_is_one_sentence_and_the_device_is_not_touched"


def _mutant(name: str, file: str, edit: tuple[str, str], *tests: str) -> Mutant:
    return Mutant(f"update-{name}", file, *edit, tests)


UPDATES = (
    _mutant(
        "any-signature",
        _IMAGE,
        ("        raise _refused(what) from None\n", "        return\n"),
        _BAD,
    ),
    _mutant(
        "any-hash",
        _IMAGE,
        ("    if sha256(image.covered).digest() != image.digest:\n", "    if False:\n"),
        _BAD,
    ),
    _mutant(
        "asks-no-catalog",
        _ACTION,
        ("    if problem is not None:\n        raise", "    if False:\n        raise"),
        _UPDATE + "an_image_that_the_catalog_does_not_allow_is_not_even_fetched",
    ),
    _mutant(
        "goes-back",
        _ACTION,
        ("        if not older or self.wanted.allow_downgrade:\n", "        if True:\n"),
        _UPDATE + "an_older_image_needs_permission",
    ),
    _mutant(
        "confirms-unproven",
        _ACTION,
        (
            "                case Move.PROVE if await self._proves():\n",
            "                case Move.PROVE:\n",
        ),
        _UPDATE + "an_image_whose_self_check_fails_names_what_did_not_hold",
    ),
    _mutant(
        "tries-again",
        _CORE,
        ("    if tried:\n", "    if False:\n"),
        _UPDATE + "an_image_that_fails_its_trial_is_reverted_and_reported",
    ),
    _mutant(
        "any-class",
        _BOUNDS,
        ("    if found.device_class != device_class:\n", "    if False:\n"),
        _ONLY_LISTED,
    ),
    _mutant("any-size", _BOUNDS, ("    if found.size != size:\n", "    if False:\n"), _ONLY_LISTED),
    _mutant(
        "unlisted-beside-a-list",
        _BOUNDS,
        ("if catalog.any_profile and not catalog.firmware:", "if catalog.any_profile:"),
        _ONLY_LISTED,
    ),
    _mutant(
        "no-list",
        _BOUNDS,
        ("if catalog.any_profile and not catalog.firmware:", "if not catalog.firmware:"),
        _LISTED + "without_a_list_of_images_the_profiles_key_decides_only_where_any_profile_may_be",
    ),
)
