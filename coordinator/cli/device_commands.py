"""The commands of `outstation devices` and their options.

Leaves out what they do (`coordinator.cli.devices`).
"""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from coordinator.cli import candidates, devices
from coordinator.cli.client import Exit
from coordinator.cli.options import DEFAULT, MOST, Common, with_client

app = App(name="devices", help="Attached devices: what they are, by their own word.")
app.command(candidates.app)


@app.command(name="list")
def list_(
    *,
    agent: str = "",
    selector: str = "",
    device_selector: str = "",
    drifted: bool = False,
    silent: bool = False,
    most: int = MOST,
    common: Common = DEFAULT,
) -> None:
    """List attached devices that said what they are when `device.sync` asked, or do not answer.

    Parameters
    ----------
    agent
        Of this gateway only.
    selector
        Of gateways whose labels match.
    device_selector
        Only devices like these: 'model=P-110,firmware<2.1', by vendor, kind, profile, id too.
    drifted
        Only those that are not as their profile expects.
    silent
        Only those that do not answer.
    most
        At most so many.
    """
    with_client(
        common,
        lambda c, s: devices.list_devices(
            *(c, s),
            agent=agent,
            selector=selector,
            device_selector=device_selector,
            drifted=drifted,
            silent=silent,
            most=most,
        ),
    )


@app.command(name="show")
def show(agent: str, device: str, /, *, common: Common = DEFAULT) -> None:
    """Show everything that one device of a gateway said of itself."""
    with_client(common, lambda c, s: devices.show_device(c, s, agent, device))


@app.command(name="get-file")
def get_file(
    agent: str,
    device: str,
    path: str,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    wait: int = 600,
    common: Common = DEFAULT,
) -> Exit:
    """Read a file out of a device's memory, as `device.get_file` does.

    Parameters
    ----------
    output
        File to keep it in.
    wait
        Seconds to wait for it.
    """
    return with_client(
        common,
        lambda c, s: devices.get_file(c, s, agent, device, path, output=output, wait_s=wait),
    )


@app.command(name="release")
def release(
    agent: str,
    device: str,
    /,
    *,
    wait: int = 300,
    dry_run: bool = False,
    common: Common = DEFAULT,
) -> Exit:
    """Let a device go that was adopted: it is polled no more; its readings and history stay.

    Parameters
    ----------
    wait
        Seconds to wait for the gateway.
    dry_run
        Only ask whether it could be.
    """
    return with_client(
        common,
        lambda c, s: devices.release(c, s, agent, device, wait_s=wait, dry_run=dry_run),
    )
