"""What the clients' Python scripts share. Standard library only: each script runs in its client's own environment.

A script defines functions named `check_…` and ends with `run(globals())`, which prints one line a check and exits with
1 if one failed. The environment names the scripted server (`SEEKD_URL`, `SEEKD_KEY`) and one with the bundled model,
which asks for no key (`SEEKD_MODEL_URL`).
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import traceback
from collections.abc import Mapping
from typing import Any

URL = os.environ.get("SEEKD_URL", "")
KEY = os.environ.get("SEEKD_KEY", "")
MODEL_URL = os.environ.get("SEEKD_MODEL_URL", "")

GREETING = "Hello! I am well, thank you."
REASONING = "Let me think."
FORECAST = "It is sunny in New York."
LIMITED_MODEL = "deepseek-v4-pro"
UNPAID_MODEL = "deepseek-v4-flash-vision-exp"
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"location": {"type": "string", "description": "City name"}},
    "required": ["location"],
}
WEATHER: dict[str, Any] = {"name": "get_weather", "description": "Get current weather", "parameters": PARAMETERS}


def run(names: Mapping[str, Any]) -> None:
    """Run every check of a script."""
    failed = False
    for name, check in list(names.items()):
        if not name.startswith("check_"):
            continue
        label = name.removeprefix("check_").replace("_", " ")
        try:
            asyncio.run(check()) if inspect.iscoroutinefunction(check) else check()
        except Exception:
            failed = True
            sys.stdout.write(f"FAIL {label}\n{traceback.format_exc()}\n")
        else:
            sys.stdout.write(f"ok {label}\n")
        sys.stdout.flush()
    sys.exit(1 if failed else 0)


def raised(error_class: type[BaseException], call: Any, *arguments: Any, **options: Any) -> Any:
    """The error of that class that a call raises."""
    try:
        call(*arguments, **options)
    except error_class as error:
        return error
    raise AssertionError(f"{error_class.__name__} was not raised")


def raised_by_the_second(error_class: type[BaseException], call: Any, *arguments: Any, **options: Any) -> Any:
    """The error of a limit that lets the first request of a minute in, unless another client was the first."""
    try:
        call(*arguments, **options)
    except error_class as error:
        return error
    return raised(error_class, call, *arguments, **options)
