"""HTTPS by the server itself: what is spoken, and what keeps it from starting."""

from __future__ import annotations

import socket
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest

from seekd.api.server import http_server
from seekd.api.settings import ServerSettings
from seekd.errors import ConfigError
from tests.integration.conftest import StartServer
from tests.integration.programs import program

CHAT = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of this machine and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    command = [program("openssl"), *words.split(), "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return certificate, key


def test_a_server_with_a_certificate_speaks_https_and_nothing_older(
    start_server: StartServer, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    script = tmp_path / "script.toml"
    script.write_text('[[reply]]\ntext = "Hello"\n', encoding="utf-8")
    certificate, key = map(str, pair)
    server = start_server("--script", str(script), SEEKD_SERVER_TLS_CERTIFICATE=certificate, SEEKD_SERVER_TLS_KEY=key)
    line = server.wait_for_line("seekd is ready at https://127.0.0.1:")
    url = line.partition("at ")[2].split()[0]
    trusting = ssl.create_default_context(cafile=certificate)
    with httpx.Client(verify=trusting, timeout=30) as client:
        answer = client.post(f"{url}/v1/chat/completions", json=CHAT)
        assert answer.json()["choices"][0]["message"]["content"] == "Hello"
        with client.stream("POST", f"{url}/v1/chat/completions", json={**CHAT, "stream": True}) as response:
            assert b"[DONE]" in b"".join(response.iter_bytes())
    with pytest.raises(httpx.HTTPError):
        httpx.get(url.replace("https", "http") + "/healthz", timeout=30)
    address = httpx.URL(url)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection((address.host, address.port or 0), timeout=30) as connection,
        pytest.raises(ssl.SSLError),
    ):
        old.wrap_socket(connection)


def test_one_half_of_a_pair_is_refused(pair: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match="belong together"):
        ServerSettings(tls_certificate=pair[0])


async def nobody(_scope: object, _receive: object, _send: object) -> None:
    """An application that is never asked."""


@pytest.mark.parametrize("case", ["missing", "no key", "wrong way round"])
def test_a_pair_that_cannot_be_used_is_named(pair: tuple[Path, Path], tmp_path: Path, case: str) -> None:
    certificate, key = pair
    empty = tmp_path / "empty.pem"
    empty.write_text("", encoding="utf-8")
    files = {"missing": (tmp_path / "none", key), "no key": (certificate, empty), "wrong way round": (key, certificate)}
    settings = ServerSettings(tls_certificate=files[case][0], tls_key=files[case][1])
    with pytest.raises(ConfigError, match=r"server\.tls_certificate .* cannot be used"):
        http_server(nobody, settings)
