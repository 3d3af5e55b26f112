"""The audit log."""

from collections.abc import Callable
from pathlib import Path

import pytest

from seekd.accounts.audit import AuditEntry, AuditTrail, read_audit
from seekd.accounts.driver import Connection
from seekd.accounts.registry import KeyOptions, Registry
from seekd.accounts.types import Limits
from seekd.errors import InvalidParameter, StoreError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def _trail(file: Path) -> AuditTrail:
    return AuditTrail(file, actor="ann", request_id="r1", clock=lambda: 1_700_000_000.0)


def test_an_entry_is_on_disk_before_its_change_is_made(file: Path) -> None:
    with _trail(file).change("key.create", target="key_1", name="x", expires_at_ms=None):
        [entry] = read_audit(file)
    assert entry == AuditEntry(
        at="2023-11-14T22:13:20Z",
        actor="ann",
        action="key.create",
        target="key_1",
        details={"name": "x"},
        request_id="r1",
    )
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_change_that_fails_is_said_to_have_failed(file: Path) -> None:
    with pytest.raises(KeyError), _trail(file).change("key.revoke", target="key_1"):
        raise KeyError
    assert [(entry.action, entry.outcome) for entry in read_audit(file)] == [
        ("key.revoke", "failed"),
        ("key.revoke", "done"),
    ]


def test_without_an_entry_there_is_no_change(tmp_path: Path) -> None:
    changed = False
    trail = _trail(tmp_path / "missing" / "audit.jsonl")
    with pytest.raises(StoreError, match="nothing was changed"), trail.change("key.create", target="key_1"):
        changed = True
    assert not changed


def test_the_latest_come_first_and_what_was_cut_short_is_left_out(file: Path) -> None:
    assert read_audit(file) == []
    for name in ("a", "b", "c"):
        with _trail(file).change(name, target=""):
            pass
    with file.open("ab") as end:
        end.write(b'{"at": "2023')
    assert [entry.action for entry in read_audit(file)] == ["c", "b", "a"]
    assert [entry.action for entry in read_audit(file, limit=2)] == ["c", "b"]
    with _trail(file).change("d", target=""):
        pass
    assert [entry.action for entry in read_audit(file)] == ["d", "c", "b", "a"]
    with pytest.raises(StoreError, match="cannot be read"):
        read_audit(file.parent)


def test_every_change_of_the_registry_is_written_down_and_no_secret(
    file: Path, connect: Callable[[], Connection]
) -> None:
    registry = Registry(connect(), audit=_trail(file))
    account = registry.create_account("lab", limits=Limits(max_concurrency=2))
    registry.set_limits(account.id, Limits(requests_per_minute=5))
    registry.top_up(account.id, currency="USD", micros=7, reference="bill 1")
    registry.grant(account.id, currency="USD", micros=8)
    key = registry.create_key(account.id, KeyOptions(name="ci", allowed_models=["m"]))
    registry.revoke_key(key.view.id)
    entries = read_audit(file)[::-1]
    assert [(entry.action, entry.target) for entry in entries] == [
        ("account.create", account.id),
        ("account.limits", account.id),
        ("account.top_up", account.id),
        ("account.grant", account.id),
        ("key.create", key.view.id),
        ("key.revoke", key.view.id),
    ]
    assert entries[0].details == {"name": "lab", "limits": {"max_concurrency": 2}}
    assert entries[2].details == {"currency": "USD", "micros": 7, "reference": "bill 1"}
    assert entries[4].details == {"account_id": account.id, "name": "ci", "allowed_models": ["m"]}
    assert key.secret not in file.read_text()
    assert key.secret[3:] not in file.read_text()


def test_what_was_refused_before_it_began_is_no_change(file: Path, connect: Callable[[], Connection]) -> None:
    registry = Registry(connect(), audit=_trail(file))
    assert registry.revoke_key("none") is None
    with pytest.raises(InvalidParameter):
        registry.set_limits("none", Limits())
    with pytest.raises(InvalidParameter):
        registry.top_up("none", currency="USD", micros=1)
    assert read_audit(file) == []
    registry.create_account("lab")
    with pytest.raises(InvalidParameter):
        registry.create_account("lab")
    assert [entry.outcome for entry in read_audit(file)] == ["failed", "done", "done"]
