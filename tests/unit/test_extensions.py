"""Extensions of other packages."""

from pathlib import Path

import pytest

from seekd.errors import ConfigError
from seekd.extensions import ExtensionPoint, extension_names, load_extension
from tests.extensions import install

CODE = """
from seekd.errors import ConfigError

class Thing:
    pass

def broken():
    raise RuntimeError("no licence")

def refused():
    raise ConfigError("needs a key")
"""


@pytest.mark.parametrize("name", ["thing"])
def test_an_installed_extension_is_made_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    install(
        tmp_path, monkeypatch, module="one_thing", code=CODE, entry_points={"seekd.guards": f"{name} = one_thing:Thing"}
    )
    assert type(load_extension(ExtensionPoint.GUARDS, "thing")).__name__ == "Thing"
    assert "thing" in extension_names(ExtensionPoint.GUARDS)
    assert "thing" not in extension_names(ExtensionPoint.REDACTORS)


def test_without_it_the_message_says_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"no extension 'thing' in the group seekd\.guards"):
        load_extension(ExtensionPoint.GUARDS, "thing")
    entry_points = {"seekd.guards": "other = other_thing:Thing"}
    install(tmp_path, monkeypatch, module="other_thing", code=CODE, entry_points=entry_points)
    with pytest.raises(ConfigError, match=r"\(other\)"):
        load_extension(ExtensionPoint.GUARDS, "thing")


@pytest.mark.parametrize(
    ("target", "words"), [("broken", "cannot be used: no licence"), ("refused", "^needs a key$"), ("none", "none")]
)
def test_one_that_cannot_be_made_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, words: str
) -> None:
    module = f"bad_{target}"
    entry_points = {"seekd.redactors": f"bad = {module}:{target}"}
    install(tmp_path, monkeypatch, module=module, code=CODE, entry_points=entry_points)
    with pytest.raises(ConfigError, match=words):
        load_extension(ExtensionPoint.REDACTORS, "bad")
