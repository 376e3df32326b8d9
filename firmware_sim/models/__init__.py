"""The models that come with the simulator: one TOML file each, in this folder."""

from pathlib import Path

from firmware_sim.model import Model
from firmware_sim.model_file import load_model
from shared.errors import MistakeError

_FOLDER = Path(__file__).parent


def shipped_models() -> tuple[Model, ...]:
    """Return every model of this folder, by name."""
    return tuple(load_model(path) for path in sorted(_FOLDER.glob("*.toml")))


def find_model(name: str) -> Model:
    """Return a shipped model by its name, or one of your own by the path of its file.

    Raises:
        MistakeError: there is no such model, or its file is wrong.
    """
    if name.endswith(".toml") or "/" in name:
        return load_model(Path(name))
    names = sorted(path.stem for path in _FOLDER.glob("*.toml"))
    if name not in names:
        raise MistakeError(
            f"there is no model {name!r}",
            mend=f"choose one of {', '.join(names)}, or name a file of your own like ./mine.toml",
        )
    return load_model(_FOLDER / f"{name}.toml")
