"""Which file a model's source stands for.

Room: models. May import: errors.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from seekd.errors import ConfigError
from seekd.models.settings import BUNDLED_MODEL


def find_model_file(source: str) -> Path:
    """The GGUF file that a model name stands for.

    Raises:
        ConfigError: there is no such file.
    """
    if source == BUNDLED_MODEL:
        return Path(str(resources.files("seekd.models") / "bundled" / "seekd-demo.gguf"))
    path = Path(source).expanduser()
    if not path.is_file():
        raise ConfigError(
            f"The model file {source} does not exist. Give the path of a GGUF file, or '{BUNDLED_MODEL}' for the model "
            "that comes with seekd."
        )
    return path.resolve()
