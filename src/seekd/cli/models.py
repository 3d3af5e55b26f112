"""`seekd models`: what there is to run, what of it is here, and what a file is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from seekd.cli.books import print_json, print_table
from seekd.cli.options import ConfigOption, DataDirOption, HelpfulGroup, JsonOption, load_settings
from seekd.engine.settings import memory_bytes
from seekd.errors import ConfigError
from seekd.models.catalogue import CATALOGUE, entry_named, find_entry
from seekd.models.fit import Machine, fit
from seekd.models.locate import hub_file_of
from seekd.models.names import HubFile
from seekd.models.settings import BUNDLED_MODEL
from seekd.models.store import ModelStore, StoredModel

app = typer.Typer(help="Models: which there are, which are here, and what this machine can run.", cls=HelpfulGroup)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Of the catalogue, or hf:OWNER/REPO:FILE.gguf.")]


@app.command("list")
def list_models(data_dir: DataDirOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the known models and the downloaded ones.

    The memory is what a model needs with one conversation of 8,192 tokens.
    """
    store = _store(data_dir, config)
    machine = this_machine()
    rows = [_catalogue_row(entry.name, store, machine) for entry in CATALOGUE]
    known = {str(entry.source) for entry in CATALOGUE}
    rows += [_stored_row(model) for model in store.list() if str(model.source) not in known]
    if as_json:
        print_json({"machine": asdict(machine), "models": rows})
        return
    print_table(
        ("name", "parameters", "size", "memory", "context", "runs here", "downloaded", "licence"),
        [
            (
                row["name"],
                row["parameters"],
                _gb(row["size_bytes"]),
                _gb(row["memory_bytes"]),
                row["context_length"],
                row["runs_here"],
                _state(row),
                row["licence"],
            )
            for row in rows
        ],
    )
    typer.echo(f"\nThis machine: {_gb(machine.memory_bytes)} of memory, {_gpu_text(machine)}.")


@app.command()
def pull(
    name: NameArgument, data_dir: DataDirOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Download a model, or what is missing of it, and check it against the hub's checksum.

    HF_ENDPOINT names a mirror, HF_TOKEN proves who asks. An interrupted download goes on where it stopped.
    """
    source = hub_file_named(name)
    path = fetch(source, _store(data_dir, config))
    if as_json:
        print_json({"name": name, "source": str(source), "path": str(path)})
    else:
        typer.echo(f"{name} is in {path}; serve it with: seekd serve --model {name}")


@app.command()
def show(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A GGUF file, a downloaded model's name, or bundled.")],
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a model file is and what it needs; nothing is loaded."""
    from seekd.cli.show_model import describe_file

    settings = load_settings(config, server__data_dir=data_dir).settings
    facts = describe_file(file, settings, this_machine())
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        text = f"{value:,} bytes ({_gb(value)})" if name.endswith("_bytes") else value
        typer.echo(f"{name.removesuffix('_bytes').replace('_', ' ')}: {text}")


@app.command("rm")
def remove(
    name: NameArgument,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a downloaded model and what has arrived of it."""
    source = hub_file_named(name)
    store = _store(data_dir, config)
    if not yes and store.find(source) is not None:
        typer.confirm(f"Delete {store.path_of(source.repo, source.path)}?", abort=True, err=True)
    freed = store.remove(source)
    if as_json:
        print_json({"name": name, "freed_bytes": freed})
    else:
        typer.echo(f"{name} is deleted; {_gb(freed)} are free again.")


def hub_file_named(name: str) -> HubFile:
    """The file that a name of the catalogue or of the hub stands for. Raises `ConfigError`."""
    if name == BUNDLED_MODEL:
        raise ConfigError("The bundled model comes with seekd; it is neither downloaded nor deleted.")
    return hub_file_of(name) or entry_named(name).source


def fetch(source: HubFile, store: ModelStore) -> Path:
    """Download a model with a progress bar. Raises `DownloadError`."""
    from seekd.cli.progress import ConsoleProgress
    from seekd.models.download import pull as pull_model
    from seekd.models.hub import Hub

    progress = ConsoleProgress()
    try:
        return pull_model(source, store=store, hub=Hub(), progress=progress)
    finally:
        progress.close()


def fetch_missing(sources: Iterable[str], store: ModelStore) -> None:
    """Download those of the models that the hub has and this machine has not. Raises `DownloadError`."""
    for source in dict.fromkeys(sources):
        hub_file = hub_file_of(source)
        stored = None if hub_file is None else store.find(hub_file)
        if hub_file is not None and (stored is None or not stored.is_complete):
            fetch(hub_file, store)


def this_machine() -> Machine:
    """The memory of this machine and of the GPUs that engines can use."""
    from seekd.engine.factory import free_gpu_bytes

    return Machine(memory_bytes=memory_bytes(), gpu_bytes=free_gpu_bytes())


def _store(data_dir: Path | None, config: Path | None) -> ModelStore:
    return ModelStore(load_settings(config, server__data_dir=data_dir).settings.server.models_folder)


def _catalogue_row(name: str, store: ModelStore, machine: Machine) -> dict[str, object]:
    entry = find_entry(name)
    assert entry is not None
    stored = store.find(entry.source)
    return {
        "name": entry.name,
        "source": str(entry.source),
        "parameters": entry.parameters,
        "quantization": entry.quantization,
        "size_bytes": entry.size_bytes,
        "memory_bytes": entry.memory_bytes,
        "context_length": entry.context_length,
        "licence": entry.licence,
        "runs_here": fit(entry.memory_bytes, machine).value,
        **_stored_facts(stored),
    }


def _stored_row(model: StoredModel) -> dict[str, object]:
    return {
        "name": str(model.source),
        "source": str(model.source),
        "parameters": None,
        "quantization": None,
        "size_bytes": model.size_bytes,
        "memory_bytes": None,
        "context_length": None,
        "licence": None,
        "runs_here": None,
        **_stored_facts(model),
    }


def _stored_facts(model: StoredModel | None) -> dict[str, object]:
    return {
        "is_downloaded": model is not None and model.is_complete,
        "downloaded_bytes": 0 if model is None else model.size_bytes + model.partial_bytes,
        "path": str(model.path) if model is not None and model.is_complete else None,
    }


def _state(row: dict[str, object]) -> str:
    if row["is_downloaded"]:
        return "yes"
    return f"{_gb(row['downloaded_bytes'])} of it" if row["downloaded_bytes"] else "no"


def _gb(value: object) -> str | None:
    if not isinstance(value, int):
        return None
    return f"{value / 1000**3:.1f} GB" if value >= 100 * 1000**2 else f"{value / 1000**2:.1f} MB"


def _gpu_text(machine: Machine) -> str:
    if machine.gpu_bytes:
        return f"{_gb(machine.gpu_bytes)} free on its GPUs"
    if Path("/proc/driver/nvidia/gpus").exists():
        return "an NVIDIA GPU that this build of llama.cpp cannot use (see docs/how-to/models.md)"
    return "no GPU that llama.cpp can use"
