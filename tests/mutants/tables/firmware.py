"""What a simulated device's bootloader refuses, and what a power cut must not cost it.

A test bench that lets bad firmware through would call an agent good that does too.
"""

from tests.mutants.mutant import cuts

_SLOTS = "tests/unit/test_sim_mcuboot.py::test_"
_NODE = "tests/unit/test_sim_smp_node.py::test_"
_BAD = _SLOTS + "what_is_wrong_with_an_image_is_told"
_CUT = _SLOTS + "a_power_cut_at_any_operation_of_a_swap_loses_nothing"


_image = cuts("image", "firmware_sim/mcuboot.py", usual=_BAD)
_boot = cuts("boot", "firmware_sim/bootloader.py")
_upload = cuts("slot", "firmware_sim/smp/image_group.py", _NODE)

FIRMWARE = (
    _image(
        "signature",
        "raise ImageError(ImageFault.WRONG_SIGNATURE) from None",
        "return",
    ),
    _image("hash", "if sha256(image.covered).digest() != image.digest:", "if False:"),
    _image("bootable", "if image.flags & NON_BOOTABLE:", "if False:"),
    _boot(
        "unchecked",
        "            check_image(image, self.key)\n        except ImageError as error:",
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
