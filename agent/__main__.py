"""`outstation-agent`: the gateway side's command line.

Owns arguments, what is printed, and exit statuses: 0 ok, 1 failed, 2 a person's mistake, 4 denied,
5 unreachable. Each command imports what it needs when it is called: `status` on a small gateway
does not load what `run` does.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from shared.errors import MistakeError, OutstationError

OK, FAILED, MISTAKE, DENIED, UNREACHABLE = 0, 1, 2, 4, 5
DEFAULT_CONFIG = "/etc/outstation/agent.toml"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(options)
    except OutstationError as error:
        print(f"outstation-agent: {error}", file=sys.stderr)
        return MISTAKE if isinstance(error, MistakeError) else FAILED
    except KeyboardInterrupt:
        return FAILED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="outstation-agent", description="The gateway side of Outstation."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="acquire, work and report until stopped")
    run.set_defaults(command=_run)
    status = commands.add_parser("status", help="how this agent is, running or not")
    status.add_argument("--json", action="store_true", help="one JSON object, for scripts")
    status.set_defaults(command=_status)
    for parts in (run, status):
        parts.add_argument(
            "--config", type=Path, default=Path(DEFAULT_CONFIG), metavar="FILE", help="TOML"
        )
    enroll = commands.add_parser("enroll", help="join a fleet with a claim file")
    enroll.add_argument("--claim", type=Path, required=True, metavar="FILE")
    where = enroll.add_mutually_exclusive_group()
    where.add_argument("--data", type=Path, metavar="DIR", help="the agent's data directory")
    where.add_argument(
        "--config", type=Path, metavar="FILE", help="take directory and labels from here"
    )
    enroll.add_argument("--coordinator", metavar="URL", help="instead of the claim's own")
    enroll.add_argument("--name", default="", help="instead of one the coordinator makes up")
    enroll.add_argument(
        "--label", action="append", default=[], metavar="KEY=VALUE", help="may be repeated"
    )
    enroll.set_defaults(command=_enroll)
    return parser


def _run(options: argparse.Namespace) -> int:
    from agent.app import Agent  # noqa: PLC0415
    from agent.config import load_config  # noqa: PLC0415
    from shared.runtime.logs import configure_logging  # noqa: PLC0415
    from shared.runtime.service import run_until_signal  # noqa: PLC0415

    config = load_config(options.config)
    configure_logging()

    async def live() -> int:
        return await Agent(config).run()

    return run_until_signal(live)


def _status(options: argparse.Namespace) -> int:
    import msgspec  # noqa: PLC0415

    from agent.config import load_config  # noqa: PLC0415
    from agent.core.status import render  # noqa: PLC0415
    from agent.services.ask import find_status  # noqa: PLC0415

    config = load_config(options.config)
    status = find_status(config.data_dir, config.runtime_dir, config.devices)
    print(msgspec.json.encode(status).decode() if options.json else render(status))
    return OK


def _enroll(options: argparse.Namespace) -> int:
    import asyncio  # noqa: PLC0415

    from agent.core.uplink import Fault, LinkFailed  # noqa: PLC0415
    from agent.services.enroll import enroll, load_claim, prepare  # noqa: PLC0415
    from agent.services.identity import save_enrolment  # noqa: PLC0415
    from agent.store.jobs_file import begin_counters  # noqa: PLC0415
    from shared.runtime.clock import SystemClock, SystemEntropy  # noqa: PLC0415
    from shared.trust.counters import Counters  # noqa: PLC0415

    data_dir, labels = _data_dir_and_labels(options)
    labels |= dict(_label(text) for text in options.label)
    claim = load_claim(options.claim, now_ms=SystemClock().wall_ms())
    url = options.coordinator or claim.url
    signer = prepare(data_dir, SystemEntropy())
    end = asyncio.run(enroll(claim, signer, url=url, name=options.name, labels=labels))
    if isinstance(end, LinkFailed):
        print(f"outstation-agent: {url}: {end.detail}", file=sys.stderr)
        refused = {Fault.DENIED: DENIED, Fault.UNTRUSTED: DENIED, Fault.REFUSED: FAILED}
        return refused.get(end.fault, UNREACHABLE)
    first = Counters(epoch=end.root.epoch, root_version=end.root.version)
    try:
        # Counters begin at nothing once, with the key: the enrolment comes after them.
        begin_counters(data_dir, first)
        save_enrolment(data_dir, end)
    except OSError as error:
        raise MistakeError(f"cannot be written ({error.strerror})", where=str(data_dir)) from error
    print(f"enrolled as {end.agent}; start the agent, or start it again")
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
