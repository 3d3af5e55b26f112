"""The files under deploy/, in the programs they are for: nginx and Caddy in front of a server, systemd's own check."""

from __future__ import annotations

import contextlib
import json
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from seekd.api.settings import ServerSettings
from seekd.config import ByteSize
from seekd.engine.scripted import Delay, EmitText, Finish, ScriptStep
from seekd.engine.types import EngineRequest, FinishReason
from seekd.testing.server import ScriptedServer
from tests.integration.programs import DEPLOY, free_port, program
from tests.integration.test_accounts_http import BODY, Shell

LIMIT_S = 30.0
HOUR_S = 3600.0

Start = Callable[..., ScriptedServer]


def _says_a_word_and_waits(_: EngineRequest) -> list[ScriptStep]:
    return [EmitText(text="word"), Delay(delay_s=HOUR_S), Finish(reason=FinishReason.STOP)]


def _certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -days 2"
    subprocess.run(
        [program("openssl"), *command.split(), "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
        timeout=30,
    )
    return certificate, key


def _replaced(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, f"the file under deploy/ no longer says {old!r}"
        text = text.replace(old, new)
    return text


def _nginx(folder: Path, upstream: str, port: int) -> list[str]:
    certificate, key = _certificate(folder)
    (folder / "seekd.conf").write_text(
        _replaced(
            (DEPLOY / "nginx" / "seekd.conf").read_text(),
            {
                "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
                "server_name seekd.example;": "server_name localhost;",
                "/etc/ssl/seekd/fullchain.pem": str(certificate),
                "/etc/ssl/seekd/privkey.pem": str(key),
                "127.0.0.1:8000": upstream,
            },
        )
    )
    paths = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; {paths} include {folder}/seekd.conf; }}\n"
    )
    return [program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]


def _caddy(folder: Path, upstream: str, port: int) -> list[str]:
    # A certificate of Caddy's own for this test; the file itself obtains one for a public name.
    settings = "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n"
    (folder / "Caddyfile").write_text(
        settings
        + _replaced(
            (DEPLOY / "caddy" / "Caddyfile").read_text(),
            {"seekd.example {": f"https://localhost:{port} {{\n\ttls internal", "127.0.0.1:8000": upstream},
        )
    )
    return [program("caddy"), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


@pytest.fixture(params=[_nginx, _caddy], ids=["nginx", "caddy"])
def proxied(
    request: pytest.FixtureRequest, seekd_server: Start, tmp_path: Path
) -> Iterator[tuple[ScriptedServer, httpx.Client]]:
    """A server, and a client of the proxy in front of it."""
    server = seekd_server(_says_a_word_and_waits, server=ServerSettings(max_body_bytes=ByteSize(1 << 20)))
    folder, port = tmp_path / "proxy", free_port()
    folder.mkdir()
    command = request.param(folder, server.url.removeprefix("http://"), port)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={"HOME": str(folder), "XDG_DATA_HOME": str(folder / "data")}
        )
    # Which authority signed is the proxy's affair here.
    with httpx.Client(base_url=f"https://localhost:{port}", verify=_any_certificate(), timeout=30) as client:
        try:
            _wait_until_up(client, process, folder / "log")
            yield server, client
        finally:
            process.terminate()
            process.wait(20)


def _any_certificate() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _wait_until_up(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    def answers() -> bool:
        if process.poll() is not None:
            pytest.fail(f"The proxy did not start:\n{log.read_text()}")
        with contextlib.suppress(httpx.TransportError):
            client.get("/livez")
            return True
        return False

    _wait_until(answers)


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_a_stream_passes_the_proxy_word_by_word_and_ends_with_its_client(
    proxied: tuple[ScriptedServer, httpx.Client], tmp_path: Path
) -> None:
    server, client = proxied
    _, key = Shell(tmp_path / "seekd").new_key()
    headers = {"Authorization": f"Bearer {key}"}
    # The answer ends in an hour: a proxy that collects it sends nothing before the client gives up.
    with client.stream("POST", "/v1/chat/completions", json=BODY | {"stream": True}, headers=headers) as answer:
        assert answer.status_code == 200
        texts = (
            json.loads(line.removeprefix("data: "))["choices"][0]["delta"].get("content")
            for line in answer.iter_lines()
            if line.startswith("data: ")
        )
        assert next(text for text in texts if text) == "word"
        assert not server.engine.aborted_request_ids
    # The client has left: the proxy must leave too, or the answer is computed and charged for nobody.
    _wait_until(lambda: bool(server.engine.aborted_request_ids))


def test_an_open_server_does_not_answer_through_the_proxy(proxied: tuple[ScriptedServer, httpx.Client]) -> None:
    server, client = proxied
    assert client.post("/v1/chat/completions", json=BODY).status_code == 403
    assert not server.engine.requests


def test_a_body_that_is_too_large_gets_the_servers_own_error(
    proxied: tuple[ScriptedServer, httpx.Client], tmp_path: Path
) -> None:
    _, client = proxied
    _, key = Shell(tmp_path / "seekd").new_key()
    body = BODY | {"messages": [{"role": "user", "content": "x" * (3 << 20)}]}
    answer = client.post("/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 413
    assert "error" in answer.json()


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    unit = tmp_path / "seekd.service"
    text = (DEPLOY / "systemd" / "seekd.service").read_text()
    unit.write_text(_replaced(text, {"/opt/seekd/bin/seekd": shutil.which("true") or "/bin/true"}))
    done = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    exposure = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", str(unit)], capture_output=True, text=True, timeout=60
    )
    assert exposure.returncode == 0, exposure.stdout[-400:]
