"""`seekd top`: the models and requests of a running server, shown anew every second."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from seekd.log import printable

Shown = Mapping[str, Any]  # Any: JSON

_MODEL_COLUMNS = ("model", "state", "running", "waiting", "kv used", "cache ram", "cache disk", "hits", "tokens/s")
_REQUEST_COLUMNS = ("request", "account", "key", "model", "state", "prompt", "cached", "answer", "age")
_MIB = 1 << 20


def watch(ask: Callable[[str], Any], *, interval_s: float, console: Console) -> None:
    """Show the server until the user leaves with Ctrl-C.

    Args:
        ask: gives the JSON of a path under `/admin`.
        interval_s: between two looks.
        console: a terminal.
    """
    before: tuple[float, Sequence[Shown]] | None = None
    with contextlib.suppress(KeyboardInterrupt), Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            models, requests = ask("/models"), ask("/requests")
            now_s = time.monotonic()
            elapsed_s = 0.0 if before is None else now_s - before[0]
            live.update(
                page(models, requests, before=() if before is None else before[1], elapsed_s=elapsed_s), refresh=True
            )
            before = (now_s, models)
            time.sleep(interval_s)


def page(models: Sequence[Shown], requests: Sequence[Shown], *, before: Sequence[Shown], elapsed_s: float) -> Group:
    """What is shown.

    Args:
        models: as `/admin/models` gives them.
        requests: as `/admin/requests` gives them.
        before: the models of the last look; empty at the first one.
        elapsed_s: since then.
    """
    earlier = {model["name"]: model["completion_tokens_total"] for model in before}
    rows = []
    for model in models:
        prompt, cached = model["prompt_tokens_total"], model["cached_tokens_total"]
        new = model["completion_tokens_total"] - earlier.get(model["name"], model["completion_tokens_total"])
        rows.append(
            (
                model["name"],
                model["reason"] or model["state"],
                f"{model['running']}/{model['slots']}",
                model["waiting"],
                f"{model['memory_used']:.0%}",
                f"{model['cache_ram_bytes'] / _MIB:.0f} MiB",
                f"{model['cache_disk_bytes'] / _MIB:.0f} MiB",
                f"{cached / (prompt + cached):.0%}" if prompt + cached else "-",
                f"{new / elapsed_s:.1f}" if elapsed_s and new >= 0 else "-",
            )
        )
    listed = [
        (
            request["id"],
            request["account_id"],
            request["key_name"],
            request["model"],
            request["state"],
            "-" if request["prompt_tokens"] is None else request["prompt_tokens"],
            request["cached_tokens"],
            request["completion_tokens"],
            f"{request['age_s']:.1f} s",
        )
        for request in requests
    ]
    return Group(_table(_MODEL_COLUMNS, rows), _table(_REQUEST_COLUMNS, listed), "Ctrl-C leaves")


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    table = Table(*columns, expand=True, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(printable(str(cell)) for cell in row))
    return table
