"""`outstation-sim device sensor-node`: an MCUmgr device with MCUboot, until told to stop."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from firmware_sim.bootloader import Bootloader, Layout, Slot
from firmware_sim.clock import SimTime
from firmware_sim.commands.image import factory_key
from firmware_sim.commands.node_line import NAME, NodeOrder
from firmware_sim.commands.parts import open_ledger
from firmware_sim.commands.running import say, serve_until_told
from firmware_sim.control import Command, serve_control
from firmware_sim.device import Device
from firmware_sim.flash import Flash, FlashFile
from firmware_sim.mcuboot import Build, ImageError, Version, check_image, make_image, read_image
from firmware_sim.models import find_model
from firmware_sim.smp.node import Medium, Node
from firmware_sim.smp.os_group import Buffers
from firmware_sim.smp.ports import Worker, serve_console, serve_udp
from shared.errors import MistakeError

_SENSORS = "soil"


async def run_node(order: NodeOrder) -> None:
    """Serve one sensor node until SIGINT or SIGTERM.

    Raises:
        MistakeError, WorldError: it cannot start, or the world made it stop.
    """
    time = SimTime(speed=order.speed)
    async with AsyncExitStack() as stack:
        ledger = open_ledger(order.ledger, time, stack)
        layout = Layout(slot_bytes=order.slot_kb * 1024)
        flash_file = None
        if order.flash is not None:
            flash_file = FlashFile(order.flash, layout.flash_bytes)
            stack.callback(flash_file.close)
        node = Node(
            make_loader(order, layout, flash_file),
            Device(find_model(_SENSORS), seed=order.seed, started_s=time.start_ms / 1000.0),
            medium=Medium.SERIAL if order.serial is not None else Medium.UDP,
            time=time,
            buffers=Buffers(size=order.buffer_bytes, count=order.buffers),
            faults=tuple(order.faults),
            ledger=ledger,
            seed=order.seed,
        )
        if order.serial is not None:
            line = serve_console(node, order.serial, baud=order.baud)
            console = await stack.enter_async_context(line)
            where, failed, worker = str(order.serial), console.failed, console.worker
        else:
            assert order.udp is not None, "the command line asks for one of the two"
            udp = await stack.enter_async_context(serve_udp(node, *order.udp))
            where, failed, worker = str(udp.address), udp.failed, udp.worker
        if order.control is not None:
            commands = node_commands(node, worker)
            await stack.enter_async_context(serve_control(order.control, commands))
        say(f"{NAME} runs {_running(node)} and answers SMP on {where}")
        await serve_until_told(where, order.ready_fd, failed)


def make_loader(order: NodeOrder, layout: Layout, file: FlashFile | None) -> Bootloader:
    """Return the flash with what runs in it, and its bootloader.

    Raises:
        MistakeError: a key or an image that cannot be used.
    """
    key = read_public_key(order.key) if order.key is not None else factory_key().public_key()
    build = Build(pure=order.pure, sha512=order.sha512)
    image = _first_image(order, key, build)
    if len(image) > layout.image_bytes:
        raise MistakeError(
            f"an image of {len(image)} bytes does not fit a slot of {order.slot_kb} kB",
            mend="choose a larger --slot-kb",
        )
    flash = Flash(layout.flash_bytes, timing=order.timing, file=file)
    loader = Bootloader(flash, layout, key, downgrade=order.downgrade, build=build)
    if flash.is_blank(0, flash.size):
        loader.write(Slot.PRIMARY, 0, image)
        flash.take_busy_ms()
    return loader


def _first_image(order: NodeOrder, key: Ed25519PublicKey, build: Build) -> bytes:
    if order.image is None:
        if order.key is not None and (order.flash is None or not order.flash.exists()):
            raise MistakeError("--key needs an image that was signed with it", mend="add --image")
        return make_image(b"outstation-sim factory firmware\0", Version(1), factory_key(), build)
    try:
        data = order.image.read_bytes()
        image = read_image(data, build)
        check_image(image, key, build)
    except OSError as error:
        raise MistakeError(f"cannot read {order.image}: {error.strerror}") from None
    except ImageError as error:
        raise MistakeError(
            f"{order.image}: {error.fault.value}",
            mend="--image is what the device runs at first, --key the public key it was signed for",
        ) from None
    return data[: image.size]


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Return the public key in a PEM file, or of the private key in it.

    Raises:
        MistakeError: there is no such file, or another kind of key in it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MistakeError(f"cannot read {path}: {error.strerror}") from None
    for load in (load_pem_public_key, lambda pem: load_pem_private_key(pem, None).public_key()):
        try:
            key = load(data)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
        if isinstance(key, Ed25519PublicKey):
            return key
    raise MistakeError(
        f"{path} holds no Ed25519 key", mend="make one with: imgtool keygen -t ed25519 -k FILE"
    )


def _running(node: Node) -> str:
    image = node.board.loader.image(Slot.PRIMARY)
    return "nothing" if node.board.dead or image is None else f"version {image.version}"


def node_commands(node: Node, worker: Worker) -> Mapping[str, Command]:
    """Return the commands of a running node's control socket."""

    def fault(words: Sequence[str]) -> object:
        if not words:
            raise MistakeError("which fault?", mend="for example: fault power-cut=20")
        node.add_faults(*words)
        worker.stir()
        return [str(active) for active in node.faults]

    def clear(_: Sequence[str]) -> object:
        node.clear_faults()
        worker.stir()
        return None

    def change(words: Sequence[str]) -> object:
        for word in words:
            name, _, value = word.partition("=")
            try:
                number = float(value)
            except ValueError:
                raise MistakeError(f"{word!r} is not POINT=NUMBER") from None
            node.sensors.set_value(name, number, node.time.now_s())
        return None

    def show(_: Sequence[str]) -> object:
        rows = ((slot, node.board.loader.image(slot)) for slot in Slot)
        return {
            "running": _running(node),
            "boots": node.board.boots,
            "next": node.board.loader.next_swap().value,
            "slots": {str(int(s)): str(image.version) for s, image in rows if image is not None},
        }

    def stats(_: Sequence[str]) -> object:
        return {
            "requests": node.requests,
            "heard_bytes": node.heard_bytes,
            "malformed": node.malformed,
            "overrun": node.overrun,
            "unheard": node.unheard,
            "flash_operations": node.board.loader.flash.operations,
            "faults": [str(active) for active in node.faults],
        }

    return {"fault": fault, "clear": clear, "set": change, "show": show, "stats": stats}
