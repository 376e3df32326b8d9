"""`outstation-agent`: the gateway side's command line.

Owns arguments, what is printed, and exit statuses: 0 ok, 1 failed, 2 a person's mistake, 4 denied,
5 unreachable, 7 not accepted yet. Each command imports what it needs when it is called: `status` on
a small gateway does not load what `run` does.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from agent import profile_cli, technician
from shared.errors import MistakeError, OutstationError, RefusedError
from shared.version import add_version
from shared.words import some

OK, FAILED, MISTAKE, DENIED, UNREACHABLE, WAITING = 0, 1, 2, 4, 5, 7
DEFAULT_CONFIG = "/etc/outstation/agent.toml"
_STATUS_OF_FAULT = {
    **dict.fromkeys(("DENIED", "UNTRUSTED", "BAD_ANSWER"), DENIED),
    **dict.fromkeys(("REFUSED", "STORE"), FAILED),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(options)
        sys.stdout.flush()
    except OutstationError as error:
        print(f"outstation-agent: {error}", file=sys.stderr)
        return MISTAKE if isinstance(error, MistakeError) else FAILED
    except KeyboardInterrupt:
        return FAILED
    except BrokenPipeError:
        if options.command is _run:
            raise
        # The reader of our pipe has seen enough; what follows has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="outstation-agent", description="The gateway side of Outstation."
    )
    add_version(parser)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="acquire, work and report until stopped")
    run.set_defaults(command=_run)
    technician.add_commands(commands)
    profile_cli.add_commands(commands)
    export = commands.add_parser(
        "export", help="write what waits onto a stick, for the coordinator"
    )
    export.add_argument("file", type=Path, metavar="FILE")
    export.add_argument("--size", type=int, metavar="BYTES", help="default: what is free there")
    export.set_defaults(command=_export)
    bring = commands.add_parser("import", help="take in what a stick brings from the coordinator")
    bring.add_argument("file", type=Path, metavar="FILE", nargs="+")
    bring.set_defaults(command=_import)
    for parts in (export, bring):
        parts.add_argument("--json", action="store_true", help="one JSON object, for scripts")
    for parts in (run, export, bring):
        parts.add_argument(
            "--config", type=Path, default=Path(DEFAULT_CONFIG), metavar="FILE", help="TOML"
        )
    _add_enroll(commands.add_parser("enroll", help="join a fleet with a claim or a trust file"))
    mark = commands.add_parser("fingerprint", help="print the fingerprint of this box's key")
    _add_place(mark)
    mark.set_defaults(command=_fingerprint)
    rekey = commands.add_parser("rekey", help="change the key; the old one vouches for the new")
    rekey.add_argument(
        "--config", type=Path, default=Path(DEFAULT_CONFIG), metavar="FILE", help="TOML"
    )
    rekey.set_defaults(command=_rekey)
    return parser


def _add_place(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--data", type=Path, metavar="DIR", help="the agent's data directory")
    where.add_argument(
        "--config", type=Path, metavar="FILE", help="take directory and labels from here"
    )


def _add_enroll(enroll: argparse.ArgumentParser) -> None:
    whom = enroll.add_mutually_exclusive_group(required=True)
    whom.add_argument("--claim", type=Path, metavar="FILE", help="whom to trust, and a way in")
    whom.add_argument(
        "--trust",
        type=Path,
        metavar="FILE",
        help="whom to trust; an admin registers or accepts this box's fingerprint",
    )
    _add_place(enroll)
    enroll.add_argument("--coordinator", metavar="URL", help="instead of the file's own")
    enroll.add_argument(
        "--discover", action="store_true", help="look for its address on the local network (mDNS)"
    )
    enroll.add_argument(
        "--interface", action="append", default=[], metavar="ADDRESS", help="look only there"
    )
    enroll.add_argument(
        "--wait",
        type=float,
        metavar="SECONDS",
        help="for an admin to accept the fingerprint (default: as long as it takes)",
    )
    enroll.add_argument("--name", default="", help="instead of one the coordinator makes up")
    enroll.add_argument(
        "--label", action="append", default=[], metavar="KEY=VALUE", help="may be repeated"
    )
    enroll.set_defaults(command=_enroll)


def _run(options: argparse.Namespace) -> int:
    import signal  # noqa: PLC0415

    # Before anything else: loading takes a third of a second on a small machine, and a stop in it
    # is as clean as any, for nothing was begun. The event loop's own handler follows.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(OK))
    from agent.app import BEGIN_AGAIN, Agent  # noqa: PLC0415
    from agent.config import load_config  # noqa: PLC0415
    from shared.runtime.logs import configure_logging  # noqa: PLC0415
    from shared.runtime.service import run_until_signal  # noqa: PLC0415

    config = load_config(options.config)
    configure_logging()

    async def live() -> int:
        return await Agent(config).run()

    status = run_until_signal(live)
    if status == BEGIN_AGAIN:
        # By itself, not by whoever watches it: nobody may be there who starts what ended well.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - ourselves
    return status


def _export(options: argparse.Namespace) -> int:
    import msgspec  # noqa: PLC0415

    from agent.config import load_config  # noqa: PLC0415
    from agent.services.stick_file import FILE_BYTES, export_file  # noqa: PLC0415
    from agent.sticks import open_source  # noqa: PLC0415

    most = FILE_BYTES if options.size is None else options.size
    if most <= 0:
        mend = "say how many bytes the file may have, or leave it out"
        raise MistakeError(f"{most} bytes are no room", where="--size", mend=mend)
    with open_source(load_config(options.config)) as source:
        told = export_file(source, options.file, most=most, show=not options.json)
    if options.json:
        print(msgspec.json.encode(told).decode())
        return OK
    print(
        f"{options.file}: {some(told.blocks, 'block')} and {some(told.receipts, 'receipt')}"
        f" in {told.bytes} bytes;"
        f" {'more waits than fitted' if told.left else 'nothing else waits'}"
    )
    return OK


def _import(options: argparse.Namespace) -> int:
    import msgspec  # noqa: PLC0415

    from agent.config import load_config  # noqa: PLC0415
    from agent.services.stick_file import import_file  # noqa: PLC0415
    from agent.sticks import open_source  # noqa: PLC0415

    config, end = load_config(options.config), OK
    for file in options.file:
        try:
            with open_source(config) as source:
                told = import_file(source, file, show=not options.json)
        except OutstationError as error:
            print(f"outstation-agent: {error}", file=sys.stderr)
            end = max(end, MISTAKE if isinstance(error, MistakeError) else FAILED)
            continue
        for why in told.refused:
            print(f"outstation-agent: {file}: a part was refused: {why}", file=sys.stderr)
            end = max(end, FAILED)
        if options.json:
            print(msgspec.json.encode(told).decode())
        else:
            print(
                f"{file}: {some(told.blocks, 'block')} acknowledged,"
                f" {some(told.receipts, 'receipt')}, {some(told.bundles, 'bundle')} of work,"
                f" {some(told.files, 'file')}"
            )
    return end


def _enroll(options: argparse.Namespace) -> int:
    import asyncio  # noqa: PLC0415

    from agent.core.uplink import LinkFailed  # noqa: PLC0415
    from agent.services.enroll import Waits, load_claim, load_trust_file, prepare  # noqa: PLC0415
    from agent.services.joining import Wish, join, keep  # noqa: PLC0415
    from shared.runtime.clock import SystemClock, SystemEntropy  # noqa: PLC0415

    data_dir, labels = _data_dir_and_labels(options)
    given = dict(_label(text) for text in options.label)
    if options.trust is not None:
        claim = load_trust_file(options.trust)
    else:
        claim = load_claim(options.claim, now_ms=SystemClock().wall_ms())
    url = options.coordinator or claim.url
    signer = prepare(data_dir, SystemEntropy())
    wish = Wish(
        claim=claim,
        url=url,
        name=options.name,
        labels=labels | given,
        given=given,
        discover=options.discover,
        interfaces=options.interface,
        patience_s=options.wait,
    )

    def tell(line: str) -> None:
        print(line, flush=True)

    try:
        end = asyncio.run(join(wish, signer, tell=tell))
    except RefusedError as error:
        print(f"outstation-agent: {url}: {error.detail or error}", file=sys.stderr)
        return DENIED
    if isinstance(end, LinkFailed):
        return _link_failed(url, end.fault.name, end.detail)
    if isinstance(end, Waits):
        print("outstation-agent: not accepted yet; run enroll again later", file=sys.stderr)
        return WAITING
    keep(data_dir, end)
    if options.name and end.agent != options.name:
        print(f"the name {options.name!r} was taken")
    print(f"enrolled as {end.agent}; start the agent, or start it again")
    return OK


def _link_failed(url: str, fault: str, detail: str) -> int:
    print(f"outstation-agent: {url}: {detail}", file=sys.stderr)
    return _STATUS_OF_FAULT.get(fault, UNREACHABLE)


def _fingerprint(options: argparse.Namespace) -> int:
    from agent.services.enroll import load_or_make_key  # noqa: PLC0415
    from shared.ids import fingerprint  # noqa: PLC0415
    from shared.runtime.clock import SystemEntropy  # noqa: PLC0415

    data_dir, _ = _data_dir_and_labels(options)
    print(fingerprint(load_or_make_key(data_dir, SystemEntropy()).public_key))
    return OK


def _rekey(options: argparse.Namespace) -> int:
    import asyncio  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    from agent.config import load_config  # noqa: PLC0415
    from agent.core.uplink import LinkFailed  # noqa: PLC0415
    from agent.services.ask import ask, socket_path  # noqa: PLC0415
    from agent.services.rekeying import rekey_at_rest  # noqa: PLC0415
    from shared.ids import fingerprint  # noqa: PLC0415

    config = load_config(options.config)
    if answer := ask(socket_path(config.runtime_dir, config.data_dir), "rekey"):
        begun = msgspec.json.decode(answer, type=dict[str, str])
        if "error" in begun:
            print(f"outstation-agent: {begun['error']}", file=sys.stderr)
            return FAILED
        print(f"changes its key at its next contact, to {begun['new']}")
        return OK
    url, end = asyncio.run(rekey_at_rest(config.data_dir))
    if isinstance(end, LinkFailed):
        return _link_failed(url, end.fault.name, end.detail)
    print(f"has another key: {fingerprint(end.public_key)}")
    return OK


def _data_dir_and_labels(options: argparse.Namespace) -> tuple[Path, dict[str, str]]:
    if options.data is not None:
        return options.data, {}
    from agent.config import load_config  # noqa: PLC0415

    config = load_config(options.config or Path(DEFAULT_CONFIG))
    return config.data_dir, dict(config.labels)


def _label(text: str) -> tuple[str, str]:
    from shared.model.selector import is_label  # noqa: PLC0415

    key, separator, value = text.partition("=")
    if not separator or not is_label(key, value):
        raise MistakeError(
            f"{text[:80]!r} is no label", where="--label", mend="write for example role=pump"
        )
    return key, value


if __name__ == "__main__":
    sys.exit(main())
