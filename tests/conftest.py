"""Settings of every test, and a last line that says which tests did not run."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

REQUIRE_ALL = "REQUIRE_ALL_TESTS"
"""Where this variable is set, as in CI, a skipped test is a failure."""

_reasons = pytest.StashKey[dict[str, int]]()

# No deadline: how long an example takes says more of the machine than of the code. The same examples in every run.
settings.register_profile("seekd", deadline=None, derandomize=True)
settings.load_profile("seekd")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Count skips by their reason."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        reasons = item.config.stash.setdefault(_reasons, {})
        reasons[reason] = reasons.get(reason, 0) + 1
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run that must be complete fails when anything was left out."""
    if os.environ.get(REQUIRE_ALL) and session.config.stash.get(_reasons, {}):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say last, where it is read, what did not run and how to get it."""
    reasons = config.stash.get(_reasons, {})
    if reasons:
        told = "; ".join(f"{number} {reason}" for reason, number in sorted(reasons.items()))
        print(f"Tests that did not run: {told}")  # noqa: T201 - after pytest's own last line
