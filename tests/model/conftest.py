"""Model files that the tests write themselves, once a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from training.export_hf import export

from seekd.models.locate import find_model_file
from seekd.models.settings import BUNDLED_MODEL
from tests.model.gguf_files import Architecture, write_gguf

ModelFiles = Callable[[Architecture], Path]


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    """A small random-weight file of an architecture."""
    directory = tmp_path_factory.mktemp("models")

    def find(architecture: Architecture) -> Path:
        path = directory / f"{architecture}.gguf"
        return path if path.exists() else write_gguf(path, architecture)

    return find


@pytest.fixture(scope="session")
def hf_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model as a folder of Hugging Face files."""
    folder = tmp_path_factory.mktemp("hf")
    export(find_model_file(BUNDLED_MODEL), folder)
    return folder
