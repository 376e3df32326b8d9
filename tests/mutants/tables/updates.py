"""Firmware of devices: judged before anything is sent, on trial, and never for another board."""

from tests.mutants.mutant import Mutant

_FILES = "tests/simulation/test_device_files.py::test_"
_UPDATE = "tests/simulation/test_firmware.py::test_"
_LAST_LOOK = "tests/simulation/test_firmware_last_look.py::test_"
_LOSSY = "tests/simulation/test_firmware_lossy.py::test_"
_PERMANENT = "tests/simulation/test_firmware_permanent.py::test_"
_BUILDS = "tests/simulation/test_firmware_builds.py::test_"
_RELEASE = "tests/simulation/test_firmware_releases.py::test_"
_SUBMITTED = "tests/unit/test_releases.py::test_"
_IMAGE = "agent/core/firmware_image.py"
_ACTION = "agent/actions/update_firmware.py"
_CORE = "agent/core/firmware.py"
_BOUNDS = "shared/trust/bounds.py"
_LISTED = "tests/unit/test_trust_catalog.py::test_"
_ONLY_LISTED = _LISTED + "only_a_listed_image_goes_into_a_board_of_its_class"
_TRAILERS = "tests/unit/test_mcuboot_trailers.py::test_"
_NEVER_SENT = _TRAILERS + "what_the_bootloader_refuses_is_never_sent"
_BAD = _UPDATE + "a_bad_image_is_one_sentence_and_the_device_is_not_touched"


def _mutant(name: str, file: str, edit: tuple[str, str], *tests: str) -> Mutant:
    return Mutant(f"update-{name}", file, *edit, tests)


UPDATES = (
    _mutant(
        "proven-under-the-old-image",
        _ACTION,
        (
            "return self._runs(await self.port.slots())\n            if",
            "return True\n            if",
        ),
        _LAST_LOOK + "a_board_that_is_away_at_the_last_look_is_not_taken_for_well",
    ),
    _mutant(
        "proven-in-silence",
        _ACTION,
        (
            "return self._runs(await self.port.slots())\n            if",
            "return await self._still_runs()\n            if",
        ),
        _LAST_LOOK + "a_board_that_is_away_at_the_last_look_is_not_taken_for_well",
        _LAST_LOOK + "an_image_that_crashes_at_the_last_look_is_not_kept",
    ),
    _mutant(
        "forgets-whom-it-looked-after",
        _ACTION,
        ("if move is Move.PROVE and not tried:", "if False:"),
        _UPDATE + "an_image_that_was_on_trial_already_and_fails_is_not_tried_by_a_repeat",
    ),
    _mutant(
        "keeps-by-name",
        "agent/drivers/smp/upload.py",
        ("confirm=True, named=not alone)", "confirm=True, named=True)"),
        _LAST_LOOK + "a_word_that_comes_when_the_board_is_back_already_keeps_what_runs",
    ),
    _mutant(
        "any-signature",
        _IMAGE,
        ("    if not good:\n", "    if False:\n"),
        _NEVER_SENT,
    ),
    _mutant(
        "any-key",
        _IMAGE,
        ("one.kind == Kind.ED25519 and named:", "one.kind == Kind.ED25519:"),
        _NEVER_SENT,
    ),
    _mutant(
        "any-name",
        _IMAGE,
        ("return digest.startswith(value) if", "return True if"),
        _NEVER_SENT,
        _TRAILERS + "what_was_found_is_kept_where_it_is_tried_again",
    ),
    _mutant(
        "any-whole-key",
        _IMAGE,
        ("else value == der\n", "else True\n"),
        _TRAILERS + "a_key_that_is_brought_along_has_to_be_the_devices",
    ),
    _mutant("first-name-for-all", _IMAGE, ("signed), False\n", "signed), True\n"), _NEVER_SENT),
    _mutant(
        "any-no-is-a-yes",
        "agent/drivers/smp/upload.py",
        ("            if not any((one.active", "            if False and not any((one.active"),
        "tests/contract/test_smp_plugs.py::test_a_no_to_what_is_not_so_stays_one",
    ),
    _mutant(
        "believes-any-buffer",
        "agent/drivers/smp/codec.py",
        (
            "min(buffer_bytes - console.EXTRA_BYTES, limits.SMP_PACKET_BYTES)",
            "buffer_bytes - console.EXTRA_BYTES",
        ),
        "tests/unit/test_smp_buffers.py::test_no_packet_is_longer_than_its_frame_can_say",
    ),
    _mutant(
        "halts-are-beginnings",
        "agent/drivers/smp/upload.py",
        ("self._beginnings += offset <= len(data)", "self._beginnings += 1"),
        _LOSSY + "an_upload_goes_on_as_long_as_it_gets_on",
    ),
    _mutant(
        "halts-add-up",
        "agent/drivers/smp/upload.py",
        ("if offset > self._reached:", "if False:"),
        _LOSSY + "an_upload_goes_on_as_long_as_it_gets_on",
    ),
    _mutant(
        "begins-for-ever",
        "agent/drivers/smp/upload.py",
        ("if self._beginnings > limits.UPLOAD_BEGINNINGS:", "if False:"),
        _LOSSY + "a_device_that_forgets_again_and_again_is_given_up",
    ),
    _mutant("any-entry", _IMAGE, ("    if strange:\n", "    if False:\n"), _NEVER_SENT),
    _mutant(
        "any-hash",
        _IMAGE,
        (
            "    if any(one.value != digest for one",
            "    if False and any(one.value != digest for one",
        ),
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
        ("        if self.wanted.allow_downgrade:\n", "        if True:\n"),
        _UPDATE + "an_older_image_needs_permission",
        _RELEASE + "a_lower_release_of_the_same_version_is_refused_and_nothing_is_sent",
    ),
    _mutant(
        "any-release",
        _ACTION,
        ("release < had:\n", "False:\n"),
        _RELEASE + "a_lower_release_of_the_same_version_is_refused_and_nothing_is_sent",
        _RELEASE + "a_device_that_was_taken_back_at_the_site_is_told",
    ),
    _mutant(
        "remembers-no-release",
        _ACTION,
        ("if release is not None and release != await", "if False and release != await"),
        _RELEASE + "a_lower_release_of_the_same_version_is_refused_and_nothing_is_sent",
        _RELEASE + "a_cut_between_confirming_and_remembering_is_made_up_for",
    ),
    _mutant(
        "asks-only-its-memory",
        _ACTION,
        (" if one.confirmed]\n", " if False]\n"),
        _RELEASE + "what_was_forgotten_is_read_back_from_the_device",
        _RELEASE + "what_somebody_put_in_at_the_site_counts_too",
    ),
    _mutant(
        "submitted-anyway",
        "coordinator/transactions/releases.py",
        ("and image.release > offered.release\n", "and False\n"),
        _SUBMITTED + "a_lower_release_than_a_device_is_known_to_have_is_one_sentence",
    ),
    _mutant(
        "submitted-never",
        "coordinator/transactions/releases.py",
        ("and image.release > offered.release\n", "\n"),
        _SUBMITTED + "what_is_allowed_or_not_known_is_left_to_the_agents",
    ),
    _mutant(
        "release-of-any-class",
        _BOUNDS,
        (
            "            if image.device_class == device_class\n            and name",
            "            if name",
        ),
        _LISTED + "a_release_is_known_by_the_file_and_by_the_name_that_a_device_tells",
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
        "believes-permanent",
        _ACTION,
        ("if tried and (problem :=", "if False and (problem :="),
        _PERMANENT + "it_fails_its_self_check_without_a_way_back_and_that_is_said",
    ),
    _mutant(
        "forgets-no-trial",
        _ACTION,
        ("        self.untried = True\n", ""),
        _PERMANENT + "it_is_checked_and_said_that_it_had_no_trial",
    ),
    _mutant(
        "other-hash",
        _CORE,
        ("    if len(digest) != len(running.digest or digest):\n", "    if False:\n"),
        _BUILDS + "an_image_for_a_bootloader_with_another_hash_is_refused_before_it_is_sent",
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
    _mutant(
        "file-is-proven",
        "agent/actions/files.py",
        ("        if not after.is_beginning_of(content):\n", "        if False:\n"),
        _FILES + "a_device_that_has_another_content_in_the_end_is_no_success",
    ),
    _mutant(
        "file-goes-on-behind-its-beginning",
        "agent/core/files.py",
        ("return self.crc32 == zlib.crc32(content[: self.size])", "return True"),
        _FILES + "another_content_takes_the_place_of_a_file",
    ),
)
