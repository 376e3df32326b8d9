"""What a simulated device's bootloader refuses, and what a power cut must not cost it.

A test bench that lets bad firmware through would call an agent good that does too.
"""

from tests.mutants.mutant import cuts

_SLOTS = "tests/unit/test_sim_mcuboot.py::test_"
_NODE = "tests/unit/test_sim_smp_node.py::test_"
_BAD = _SLOTS + "what_is_wrong_with_an_image_is_told"
_TRAILERS = "tests/unit/test_mcuboot_trailers.py::test_"
_REFUSED = _TRAILERS + "what_the_bootloader_refuses_is_never_sent"
_CUT = _SLOTS + "a_power_cut_at_any_operation_of_a_swap_loses_nothing"


_image = cuts("image", "firmware_sim/mcuboot.py", usual=_BAD)
_boot = cuts("boot", "firmware_sim/bootloader.py")
_upload = cuts("slot", "firmware_sim/smp/image_group.py", _NODE)

FIRMWARE = (
    _image(
        "signature",
        "    if not good:\n",
        "    if False:\n",
        _REFUSED,
    ),
    _image("named", "one.kind == _ED25519 and named:", "one.kind == _ED25519:", _REFUSED),
    _image("name", "else digest.startswith(value)", "else True", _REFUSED),
    _image("name-once", "signed), False", "signed), True", _REFUSED),
    _image("entry", "if not one.protected and not allowed:", "if False:", _REFUSED),
    _image(
        "whole-key",
        "return value == public if build.whole_key",
        "return True if build.whole_key",
        _TRAILERS + "a_key_that_is_brought_along_has_to_be_the_devices",
    ),
    _image(
        "pure",
        'if build.pure and next(pures, b"") != b"\\x01":',
        "if False:",
        _TRAILERS + "an_image_that_is_signed_as_a_whole_is_for_bootloaders_that_want_it_so",
    ),
    _image(
        "hash",
        "if one.kind == build.hash_kind and not build.pure and one.value != digest:",
        "if False:",
    ),
    _image(
        "key-hash",
        "digest = build.hash_of(public)",
        "digest = sha256(public).digest()",
        _TRAILERS + "an_image_known_by_its_sha512_is_for_bootloaders_that_were_built_so",
    ),
    _image("bootable", "if image.flags & NON_BOOTABLE:", "if False:"),
    _boot(
        "unchecked",
        "            check_image(image, self.key, self.build)\n        except ImageError as error:",
        "        except ImageError as error:",
        _SLOTS + "the_bootloader_throws_a_bad_image_away_and_runs_the_old_one",
    ),
    _boot(
        "downgrade",
        "if older and not self.downgrade and",
        "if False and",
        _SLOTS + "an_older_image_is_swapped_in_only_where_downgrades_are_allowed",
    ),
    _boot(
        "revert",
        "return Swap.REVERT if tested and unconfirmed else Swap.NONE",
        "return Swap.NONE",
        _SLOTS + "a_tested_image_runs_once_and_is_reverted_unless_confirmed",
    ),
    _boot(
        "resume",
        "        swap, refused = self._interrupted(), None",
        "        swap, refused = Swap.NONE, None",
        _CUT,
    ),
    _boot("marks", "            self.flash.write(at, _DONE)", "            pass", _CUT),
    _boot(
        "scratch",
        "((there, scratch), (here, there), (scratch, here))",
        "((there, scratch), (scratch, here), (here, there))",
        _CUT,
    ),
    _upload(
        "overwrite",
        "        if self._loader.next_swap() is not Swap.NONE:\n"
        "            raise _refusal(ImageRc.NO_FREE_SLOT)\n"
        '        if fields.flag("upgrade")',
        '        if fields.flag("upgrade")',
        "while_an_image_is_on_trial_or_due_nothing_overwrites_the_other",
    ),
    _upload(
        "overrun",
        "if offset + len(data) > upload.size:",
        "if False:",
        "an_upload_that_cannot_be_is_refused_at_its_first_piece",
    ),
)
