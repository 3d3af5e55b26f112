"""Which file a model's source stands for."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from seekd.errors import ConfigError
from seekd.models.catalogue import CATALOGUE, find_entry
from seekd.models.names import HUB_PREFIX, HubFile, parse_hub_file, suggestion
from seekd.models.settings import BUNDLED_MODEL
from seekd.models.store import ModelStore


def hub_file_of(source: str) -> HubFile | None:
    """The file on the hub that a source stands for; None for the bundled model and for a path.

    Raises:
        ConfigError: it looks like a file on the hub and is none.
    """
    if source.startswith(HUB_PREFIX):
        return parse_hub_file(source)
    entry = find_entry(source)
    # A file of that name in the current folder is not meant: `./NAME` says so.
    return None if entry is None else entry.source


def find_model_file(source: str, store: ModelStore | None = None) -> Path:
    """The GGUF file that a source stands for; of a split model its first part.

    Args:
        source: as `models.names` lists them.
        store: of downloaded models; None knows none.

    Raises:
        ConfigError: there is no such file, or it is not downloaded.
    """
    if source == BUNDLED_MODEL:
        return Path(str(resources.files("seekd.models") / "bundled" / "seekd-demo.gguf"))
    hub_file = hub_file_of(source)
    if hub_file is not None:
        stored = None if store is None else store.find(hub_file)
        if stored is None or not stored.is_complete:
            raise ConfigError(f"The model {source} is not downloaded; get it with: seekd models pull {source}")
        return stored.path
    path = Path(source).expanduser()
    if path.is_dir():
        raise ConfigError(f"The model {source} is a directory. {_files_of(path)}")
    if not path.is_file():
        raise ConfigError(f"The model file {source} does not exist{_help(source)}")
    return path.resolve()


def _files_of(directory: Path) -> str:
    first = next(iter(sorted(directory.glob("*.gguf"))), None)
    return f"Name the file: {first}" if first else "It holds no GGUF file; name the file of a model."


def _help(source: str) -> str:
    close = "" if "/" in source else suggestion(source, (entry.name for entry in CATALOGUE))
    return close or (
        f". Give the path of a GGUF file, a name that `seekd models list` shows, hf:OWNER/REPO:FILE, or "
        f"'{BUNDLED_MODEL}' for the model that comes with seekd."
    )
