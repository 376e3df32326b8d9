"""`outstation keys`: an approver's own key, and the line about it that goes into the policy."""

import json
from pathlib import Path

from cyclopts import App

from coordinator.cli.keyfile import ask_new_passphrase, create_key, load_key
from coordinator.cli.options import DEFAULT, Common
from coordinator.cli.show import Screen
from shared.ids import fingerprint, key_id
from shared.trust.envelope import KeySigner

app = App(
    name="keys", help="Your own key, by which you approve jobs; it never leaves your machine."
)


@app.command(name="create")
def create(
    file: Path, /, *, name: str = "", passphrase: bool = False, common: Common = DEFAULT
) -> None:
    """Make a key in a new file that only you can read; print what the policy says about it.

    Parameters
    ----------
    name
        Yours, as your token has it: by it the author of a job is told apart.
    passphrase
        Protect it by a passphrase too; it is asked for, or taken from OUTSTATION_PASSPHRASE.
    """
    signer = create_key(file, passphrase=ask_new_passphrase() if passphrase else "")
    _tell(Screen(as_json=common.json), signer, name, file, made=True)


@app.command(name="show")
def show(file: Path, /, *, name: str = "", common: Common = DEFAULT) -> None:
    """Print what the policy says about a key.

    Parameters
    ----------
    name
        Yours, as your token has it.
    """
    _tell(Screen(as_json=common.json), load_key(file), name, file, made=False)


def _tell(screen: Screen, signer: KeySigner, name: str, file: Path, *, made: bool) -> None:
    public = signer.public_key
    if screen.as_json:
        screen.json(
            {
                "file": str(file),
                "name": name,
                "key": public.hex(),
                "key_id": key_id(public).hex(),
                "fingerprint": fingerprint(public),
            }
        )
        return
    if made:
        screen.text(f"# {file} is your key: keep it to yourself. Who holds the release key adds:")
    screen.text(f"# fingerprint {fingerprint(public)}")
    screen.text("[[approver]]")
    screen.text(f"name = {json.dumps(name or 'YOUR-NAME')}")
    screen.text(f'key = "{public.hex()}"')
