"""`seekd config`."""

from pathlib import Path

from seekd.cli.settings import to_toml
from seekd.config import load
from seekd.settings import Settings

FILE = """
[server]
port = 9000
[models."deepseek-v3.1"]
source = "a \\"quoted\\" name\\u007f"
cache_ram = "2GiB"
[engine]
kv_type = "q8_0"
[accounts]
database_url = "postgresql://name:hush@host/books"
[[accounts.prices]]
model = "deepseek-chat"
currency = "USD"
hit = 0.028
miss = "0.28"
output = 1
peak_hours = ["22:00-06:00"]
[accounts.model_limits."deepseek-chat"]
requests_per_minute = 60
"""


def test_the_printed_file_gives_the_same_settings_and_no_secret(tmp_path: Path) -> None:
    given, printed = tmp_path / "given.toml", tmp_path / "printed.toml"
    given.write_text(FILE)
    before = load(Settings, environment={}, file=given)
    text = to_toml(before)
    assert "hush" not in text
    printed.write_text(text.replace('# database_url = "***"', 'database_url = "postgresql://name:hush@host/books"'))
    assert load(Settings, environment={}, file=printed).settings == before.settings


def test_defaults_are_comments_that_can_be_taken_over(tmp_path: Path) -> None:
    loaded = load(Settings, environment={})
    text = to_toml(loaded)
    assert "\n# port = 8000\n" in text
    assert all(line.startswith(("#", "[")) for line in text.splitlines() if line)
    printed = tmp_path / "printed.toml"
    lines = [line for line in text.splitlines() if not line.endswith("=")]
    printed.write_text("\n".join(line.removeprefix("# ") for line in lines))
    assert load(Settings, environment={}, file=printed).settings == loaded.settings
