"""MCUboot images and slots: what runs, what is refused, and the power that fails at any moment."""

import copy
import struct
from contextlib import suppress

import pytest

from firmware_sim.bootloader import Slot, Swap
from firmware_sim.flash import PowerCutError
from firmware_sim.mcuboot import ImageError, ImageFault, Version, check_image, read_image
from tests.smp_parts import KEY, STRANGER, image, loader


def fault_of(data: bytes) -> ImageFault:
    with pytest.raises(ImageError) as caught:
        check_image(read_image(data), KEY.public_key())
    return caught.value.fault


def test_a_signed_image_is_read_and_believed():
    found = read_image(image("2.3.4.5") + b"\xff" * 100)
    check_image(found, KEY.public_key())
    assert str(found.version) == "2.3.4.5"
    assert str(Version(2, 3, 4)) == "2.3.4"
    assert found.size == len(image("2.3.4.5"))
    assert found.body.startswith(b"firmware 2.3.4.5\0")


def changed(at: int, data: bytes) -> bytes:
    whole = image()
    return whole[:at] + data + whole[at + len(data) :]


END = 32 + 9_000


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", ImageFault.NO_IMAGE),
        (b"\xff" * 500, ImageFault.NO_IMAGE),
        (changed(8, struct.pack("<H", 8)), ImageFault.BAD_HEADER),
        (image()[:END], ImageFault.NO_TLVS),
        (image()[:5000] + b"\xff" * 6000, ImageFault.NO_TLVS),
        (changed(12, struct.pack("<I", 0xFFFFFFFF)), ImageFault.NO_TLVS),
        (image()[:-1], ImageFault.BAD_TLV),
        (changed(END + 2, struct.pack("<H", 11)), ImageFault.BAD_TLV),
        (changed(END + 4, b"\x77"), ImageFault.NO_HASH),
        (changed(END + 4 + 36, b"\x10"), ImageFault.TWO_HASHES),
        (changed(100, b"!"), ImageFault.WRONG_HASH),
        (changed(16, b"\x10"), ImageFault.NOT_BOOTABLE),
        (changed(END + 4 + 36 + 36, b"\x77"), ImageFault.STRANGE_TLV),
        (image(key=STRANGER), ImageFault.NO_SIGNATURE),
    ],
)
def test_what_is_wrong_with_an_image_is_told(data, fault):
    assert fault_of(data) is fault


# --- slots ----------------------------------------------------------------------------------------
def running(boot) -> str:
    found = boot.image(Slot.PRIMARY)
    return "" if found is None else str(found.version)


def staged(data: bytes, *, permanent: bool = False, **options):
    boot = loader(**options)
    boot.boot()
    boot.write(Slot.SECONDARY, 0, data)
    boot.request(permanent=permanent)
    return boot


def test_a_device_that_was_never_updated_runs_what_it_was_made_with():
    boot = loader()
    done = boot.boot()
    assert (done.swap, done.refused, running(boot)) == (Swap.NONE, None, "1.0.0")


def test_a_tested_image_runs_once_and_is_reverted_unless_confirmed():
    boot = staged(image("2.0.0", size=14_000))
    assert boot.next_swap() is Swap.TEST
    assert boot.boot().swap is Swap.TEST
    assert running(boot) == "2.0.0"
    assert boot.next_swap() is Swap.REVERT
    assert boot.boot().swap is Swap.REVERT
    assert running(boot) == "1.0.0"
    assert str(boot.image(Slot.SECONDARY).version) == "2.0.0"
    assert boot.boot().swap is Swap.NONE


def test_a_confirmed_image_stays():
    boot = staged(image("2.0.0"))
    boot.boot()
    boot.confirm()
    assert boot.boot().swap is Swap.NONE
    assert running(boot) == "2.0.0"


def test_an_image_that_was_asked_for_good_needs_no_confirmation():
    boot = staged(image("2.0.0"), permanent=True)
    assert boot.boot().swap is Swap.PERMANENT
    assert boot.boot().swap is Swap.NONE
    assert running(boot) == "2.0.0"


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (image("2.0.0", key=STRANGER), ImageFault.NO_SIGNATURE),
        (image("2.0.0")[:8_000], ImageFault.NO_TLVS),
        (image("2.0.0").replace(b"firmware", b"FIRMWARE"), ImageFault.WRONG_HASH),
    ],
)
def test_the_bootloader_throws_a_bad_image_away_and_runs_the_old_one(data, fault):
    boot = staged(data)
    done = boot.boot()
    assert (done.swap, done.refused) == (Swap.NONE, fault)
    assert running(boot) == "1.0.0"
    assert boot.image(Slot.SECONDARY) is None
    assert boot.next_swap() is Swap.NONE


@pytest.mark.parametrize(("downgrade", "runs"), [(True, "1.9.0"), (False, "2.0.0")])
def test_an_older_image_is_swapped_in_only_where_downgrades_are_allowed(downgrade, runs):
    boot = staged(image("1.9.0"), first=image("2.0.0"), downgrade=downgrade)
    done = boot.boot()
    assert running(boot) == runs
    assert done.refused is (None if downgrade else ImageFault.OLDER)


def test_a_revert_goes_back_even_where_downgrades_are_not_allowed():
    boot = staged(image("2.0.0"), downgrade=False)
    boot.boot()
    assert boot.boot().swap is Swap.REVERT
    assert running(boot) == "1.0.0"


def test_nothing_that_can_be_run_is_a_dead_device():
    assert loader(first=image(key=STRANGER)).boot().image is None


# --- power cuts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("permanent", [False, True])
@pytest.mark.parametrize("again", [None, 0, 17])
def test_a_power_cut_at_any_operation_of_a_swap_loses_nothing(permanent, again):
    whole = staged(image("2.0.0", size=6_000), permanent=permanent)
    probe = copy.deepcopy(whole.flash)
    before = whole.flash.operations
    whole.boot()
    operations = whole.flash.operations - before
    assert operations > 80
    for cut in range(operations):
        boot = staged(image("2.0.0", size=6_000), permanent=permanent)
        boot.flash = copy.deepcopy(probe)
        boot.flash.cut_after = cut
        with pytest.raises(PowerCutError):
            boot.boot()
        if again is not None:
            boot.flash.cut_after = again
            with suppress(PowerCutError):
                boot.boot()
            boot.flash.cut_after = None
        done = boot.boot()
        assert done.image is not None, f"bricked by a cut after {cut} operations"
        # An image that was in place before the last cut may count as tried and not confirmed.
        late = again is not None or cut == operations - 1
        tried = {"2.0.0", "1.0.0"} if late and not permanent else {"2.0.0"}
        assert str(done.image.version) in tried
        assert {running(boot), str(boot.image(Slot.SECONDARY).version)} == {"1.0.0", "2.0.0"}


def test_a_power_cut_at_any_operation_of_an_upload_or_request_leaves_the_old_image():
    data, older = image("2.0.0", size=6_000), image("1.5.0", size=6_000)

    def fill(boot) -> int:
        begun = boot.flash.operations
        boot.erase(Slot.SECONDARY)
        boot.write(Slot.SECONDARY, 0, data)
        boot.request(permanent=True)
        return boot.flash.operations - begun

    def used():
        boot = loader()
        boot.write(Slot.SECONDARY, 0, older)
        boot.boot()
        return boot

    most = fill(used())
    assert most > 2 + len(data) // 256, "an erase, every page, the request"
    for cut in range(most):
        boot = used()
        boot.flash.cut_after = cut
        with pytest.raises(PowerCutError):
            fill(boot)
        done = boot.boot()
        # Only once its last mark is there may the new image be what runs.
        assert done.image is not None, f"bricked by a cut after {cut} operations"
        assert str(done.image.version) in ({"1.0.0"} if cut < most - 2 else {"1.0.0", "2.0.0"})
