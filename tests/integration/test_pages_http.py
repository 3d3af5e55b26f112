"""The pages beside the API."""

from collections.abc import Callable
from pathlib import Path

import httpx

from seekd.api.settings import ServerSettings
from seekd.testing import ScriptedServer, say


def test_the_page_needs_no_key_where_the_api_does(seekd_server: Callable[..., ScriptedServer], tmp_path: Path) -> None:
    server = seekd_server(say("Hello"), data_dir=tmp_path)
    token = {"Authorization": f"Bearer {(tmp_path / 'admin-token').read_text().strip()}"}
    with httpx.Client(base_url=server.url) as client:
        account = client.post("/admin/accounts", json={"name": "team"}, headers=token).json()
        client.post("/admin/keys", json={"account_id": account["id"]}, headers=token)
        assert client.get("/v1/models").status_code == 401
        assert client.get("/").headers["content-type"].startswith("text/html")
        assert client.get("/ui/old/style.css").status_code == 404


def test_the_pages_can_be_left_out(seekd_server: Callable[..., ScriptedServer]) -> None:
    server = seekd_server(say("Hello"), server=ServerSettings(pages=False))
    assert httpx.get(f"{server.url}/").status_code == 404
    assert httpx.get(f"{server.url}/docs").status_code == 200
