"""No secret is written anywhere: not in the log, not in an answer, not in metrics, files or what commands print."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import httpx

from seekd.accounts.registry import Registry
from seekd.accounts.settings import AccountsSettings
from seekd.accounts.store import open_connection
from tests.integration.conftest import StartServer

MODERATION_KEY = "moderation-secret-8fk2"
REDIS_URL = "redis://:redis-secret-9dj3@127.0.0.1:9/0"
DATABASE_PASSWORD = "database-secret-1x7z"
WRONG_KEY = "sk-wrongsecret00000000000000000000000"
PROMPT = "the prompt says pineapple-secret-55"


def _settings(folder: Path) -> Path:
    file = folder / "seekd.toml"
    file.write_text(
        f'[guard]\nmoderation = "http://127.0.0.1:9/"\nmoderation_key = "{MODERATION_KEY}"\n'
        'moderation_failure = "allow"\n'
        f'[accounts]\nlimits_redis_url = "{REDIS_URL}"\nofficial_prices = true\nfailed_auth_delay_s = 0.0\n'
        '[log]\nlevel = "debug"\n',
        encoding="utf-8",
    )
    return file


def test_keys_tokens_and_passwords_appear_nowhere(start_server: StartServer, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    script = tmp_path / "script.toml"
    script.write_text('[[reply]]\nwhen = { text = "pineapple" }\ntext = "an answer"\n', encoding="utf-8")
    connection = open_connection(AccountsSettings(), data_dir)
    registry = Registry(connection)
    account = registry.create_account("team")
    registry.top_up(account.id, currency="USD", micros=10**9)
    key = registry.create_key(account.id).secret
    connection.close()
    server = start_server("--script", str(script), "--config", str(_settings(tmp_path))).wait_until_ready()
    admin_token = (data_dir / "admin-token").read_text(encoding="utf-8").strip()
    said: list[str] = []
    chat = {"model": "deepseek-chat", "messages": [{"role": "user", "content": PROMPT}]}
    with httpx.Client(base_url=server.url, timeout=30) as client:
        for proof in (key, WRONG_KEY, admin_token):
            headers = {"Authorization": f"Bearer {proof}"}
            said += [
                client.post("/v1/chat/completions", json=body, headers=headers).text
                for body in (chat, {**chat, "stream": True}, {**chat, "max_tokens": -1}, {**chat, "model": "none"})
            ]
            for path in ("/metrics", "/v1/user/balance", "/v1/models", "/healthz", "/nowhere"):
                said.append(client.get(path, headers=headers).text)
            for path in ("/admin/accounts", "/admin/keys", "/admin/audit", "/admin/usage"):
                said.append(client.get(path, headers=headers).text)
    assert any("an answer" in text for text in said), "the requests reached the model"
    server.stop()
    log = "\n".join(server.lines)
    assert '"action":"request"' in log
    assert PROMPT not in log
    files = {path: path.read_bytes() for path in data_dir.rglob("*") if path.is_file() and path.name != "admin-token"}
    secrets = (key, admin_token, MODERATION_KEY, "redis-secret-9dj3", WRONG_KEY)
    for secret in secrets:
        assert secret not in log, f"{secret} is in the log"
        assert not [text for text in said if secret in text], f"{secret} is in an answer"
        assert not [path for path, data in files.items() if secret.encode() in data], f"{secret} is in a file"


def test_commands_print_stars_for_secrets(tmp_path: Path) -> None:
    file = _settings(tmp_path)
    url = f"postgresql://seekd:{DATABASE_PASSWORD}@127.0.0.1:9/books"
    environment = {"HOME": str(tmp_path), "SEEKD_ACCOUNTS_DATABASE_URL": url, "PYTHONPATH": ":".join(sys.path)}
    for arguments in (["config"], ["config", "--json"], ["config", "--toml"], ["doctor"], ["doctor", "--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "seekd", *arguments, "--config", str(file), "--data-dir", str(tmp_path / "data")],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        text = done.stdout + done.stderr
        assert text
        for secret in (MODERATION_KEY, "redis-secret-9dj3", DATABASE_PASSWORD):
            assert secret not in text, (arguments, text)


def test_what_a_server_leaves_in_its_data_directory_is_for_its_user_alone(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server().wait_until_ready()
    data_dir = tmp_path / "data"
    body = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hi " * 400}], "max_tokens": 5}
    assert httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60).status_code == 200
    server.stop()
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (data_dir, *data_dir.rglob("*"))}
    assert len(modes) > 5
    open_to_others = {str(path.relative_to(tmp_path)): oct(mode) for path, mode in modes.items() if mode & 0o077}
    assert data_dir in modes
    assert not open_to_others
