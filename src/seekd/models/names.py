"""What the user may write where a model is asked for.

bundled                     the model that comes with seekd
deepseek-r1-distill-qwen-7b a name of the catalogue
hf:OWNER/REPO:FILE          a file on the hub
anything else               a path
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from seekd.errors import ConfigError

HUB_PREFIX = "hf:"

_PART = re.compile(r"^(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$")
_REPO = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")
_MOST_PARTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A GGUF file in a repository of the hub; of a split model its first part.

    Attributes:
        repo: `OWNER/REPO`.
        path: inside the repository.
    """

    repo: str
    path: str

    @property
    def paths(self) -> tuple[str, ...]:
        """All parts, in order; one for a model that is not split."""
        return split_names(self.path)

    def __str__(self) -> str:
        return f"{HUB_PREFIX}{self.repo}:{self.path}"


def parse_hub_file(text: str) -> HubFile:
    """Read `hf:OWNER/REPO:FILE`.

    Raises:
        ConfigError: it is not of that form, or the file cannot be one inside a repository.
    """
    repo, _, path = text.removeprefix(HUB_PREFIX).partition(":")
    parts = PurePosixPath(path).parts
    is_inside = bool(parts) and not path.startswith("/") and "\\" not in path and ".." not in parts
    if not text.startswith(HUB_PREFIX) or not _REPO.match(repo) or not is_inside:
        raise ConfigError(f"{text} does not name a file on the hub; write hf:OWNER/REPO:FILE.gguf.")
    if not path.endswith(".gguf"):
        raise ConfigError(f"{text} does not name a GGUF file; write hf:OWNER/REPO:FILE.gguf.")
    split_names(path)
    return HubFile(repo=repo, path=path)


def split_names(path: str) -> tuple[str, ...]:
    """All parts of a split GGUF file from the name of its first one; the name itself when it is not split.

    Source: llama.cpp's `llama_split_path`, `NAME-00001-of-00005.gguf`.

    Raises:
        ConfigError: the name is that of a later part, or its numbers make no sense.
    """
    match = _PART.match(path)
    if match is None:
        return (path,)
    stem, count = match["stem"], int(match["count"])
    if not 1 <= count <= _MOST_PARTS:
        raise ConfigError(f"{path} is not the name of a part of a split model.")
    names = tuple(f"{stem}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1))
    if int(match["number"]) != 1:
        raise ConfigError(f"{path} is a later part of a split model; name its first part, {names[0]}.")
    return names


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` for a word that is close to a known one, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
