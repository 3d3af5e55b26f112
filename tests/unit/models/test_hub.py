"""What the hub's client raises becomes one sentence that says what helps."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import huggingface_hub.constants
import pytest

from seekd.errors import DownloadError
from seekd.models.hub import Hub
from seekd.models.names import HubFile
from tests.hub import REVISION, HubDouble, serve_hub

FILES = {"o/r": {"r-Q4_K_M.gguf": b"abc", "Q2/r-00001-of-00002.gguf": b"a", "Q2/r-00002-of-00002.gguf": b"b"}}


@pytest.fixture
def hub() -> Iterator[HubDouble]:
    with serve_hub(FILES) as double:
        yield double


def test_a_look_up_has_sizes_sums_and_one_revision(hub: HubDouble) -> None:
    model = Hub(hub.url).look_up(HubFile(repo="o/r", path="Q2/r-00001-of-00002.gguf"))
    assert (model.revision, model.size_bytes, len(model.files)) == (REVISION, 2, 2)
    assert re.fullmatch("[0-9a-f]{64}", model.files[0].sha256)


@pytest.mark.parametrize(
    ("repo", "path", "words"),
    [
        ("o/none", "r.gguf", "no repository o/none"),
        ("o/r", "r-Q4_K_S.gguf", "did you mean r-Q4_K_M.gguf"),
        ("o/r", "zzz.gguf", "It has: Q2/r-00001-of-00002.gguf, r-Q4_K_M.gguf"),
        ("o/gated", "r.gguf", "HF_TOKEN"),
    ],
)
def test_what_the_hub_does_not_give_is_told(hub: HubDouble, repo: str, path: str, words: str) -> None:
    hub.gated.add("o/gated")
    with pytest.raises(DownloadError) as caught:
        Hub(hub.url).look_up(HubFile(repo=repo, path=path))
    assert words in caught.value.message


def test_without_a_network_the_message_names_the_address_and_the_mirror_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(DownloadError) as caught:
        Hub(f"http://127.0.0.1:{port}").look_up(HubFile(repo="o/r", path="r.gguf"))
    assert f"http://127.0.0.1:{port} cannot be reached" in caught.value.message
    assert "HF_ENDPOINT" in caught.value.message


def test_the_clients_own_offline_switch_is_respected(hub: HubDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE"):
        Hub(hub.url).look_up(HubFile(repo="o/r", path="r-Q4_K_M.gguf"))
