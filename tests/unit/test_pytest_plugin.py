"""The plug-in in projects of its users: each test here runs a pytest in a process of its own.

In this process, modules that were imported meanwhile would be taken out again, and classes would exist twice.
"""

from __future__ import annotations

import textwrap

import pytest

pytest_plugins = "pytester"

QUIET = ("-p", "no:asyncio", "-p", "no:schemathesis")
"""Plug-ins of this project's own tests, which a user's project need not have."""

ASK = """
import httpx, pytest

def ask(seekd, text="Hi"):
    body = {"model": "deepseek-chat", "messages": [{"role": "user", "content": text}]}
    answer = httpx.post(seekd.base_url + "/chat/completions", json=body).json()
    return answer["choices"][0]["message"]["content"] if "choices" in answer else answer["error"]["message"]
"""


def program(pytester: pytest.Pytester, text: str) -> None:
    """A test file that can ask."""
    pytester.makepyfile(ASK + textwrap.dedent(text))


@pytest.mark.parametrize(("scope", "is_shared"), [("session", True), ("test", False)])
def test_a_server_lives_as_long_as_its_scope_and_forgets_between_tests(
    pytester: pytest.Pytester, scope: str, is_shared: bool
) -> None:
    pytester.makeini(f"[pytest]\nseekd_scope = {scope}\n")
    program(
        pytester,
        f"""
        urls = []

        @pytest.mark.parametrize("text", ["one", "two"])
        def test_it(seekd, text):
            urls.append(seekd.url)
            seekd.assert_not_called()
            seekd.reply(text)
            assert ask(seekd) == text
            seekd.assert_called_once_with(text="Hi")

        def test_the_servers():
            assert (urls[0] == urls[1]) is {is_shared}
        """,
    )
    pytester.runpytest_subprocess(*QUIET).assert_outcomes(passed=3)


def test_options_of_the_marker_get_a_server_of_their_own(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\naddopts = --strict-markers\n")
    program(
        pytester,
        """
        urls = {}

        def test_plain(seekd):
            urls["plain"] = seekd.url

        @pytest.mark.seekd(context_length=500)
        @pytest.mark.parametrize("name", ["small", "again"])
        def test_small(seekd, name):
            urls[name] = seekd.url
            seekd.reply("x")
            assert ask(seekd, "many words " * 500).startswith("Maximum context length exceeded")

        def test_the_servers():
            assert urls["plain"] != urls["small"] == urls["again"]
        """,
    )
    pytester.runpytest_subprocess(*QUIET).assert_outcomes(passed=4)


def test_a_request_without_an_answer_fails_its_test_and_no_other(pytester: pytest.Pytester) -> None:
    program(
        pytester,
        """
        def test_unexpected(seekd):
            seekd.on(text="weather").reply("x")
            ask(seekd, "time")

        def test_next(seekd):
            seekd.reply("x")
            assert ask(seekd) == "x"
        """,
    )
    result = pytester.runpytest_subprocess(*QUIET)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*AssertionError: 1 request(s) without an answer*does not hold 'weather'*'time'*"])


def test_a_scope_that_is_none_is_told(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nseekd_scope = module\n")
    pytester.makepyfile("def test_it(): pass")
    result = pytester.runpytest_subprocess(*QUIET)
    result.stderr.fnmatch_lines(["*seekd_scope is session or test, not 'module'*"])


def test_scripted_servers_by_the_older_fixture_go_on(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import httpx
        from seekd.testing import say

        def test_it(seekd_server):
            server = seekd_server(say("Hello"))
            assert httpx.get(server.url + "/healthz").status_code == 200
        """
    )
    pytester.runpytest_subprocess(*QUIET).assert_outcomes(passed=1)


def test_unittest_has_it_as_a_context(pytester: pytest.Pytester) -> None:
    program(
        pytester,
        """
        import unittest
        from seekd.testing import open_kit

        class TestIt(unittest.TestCase):
            def setUp(self):
                self.seekd = self.enterContext(open_kit())

            def test_it(self):
                self.seekd.reply("Hello")
                self.assertEqual(ask(self.seekd), "Hello")
        """,
    )
    pytester.runpytest_subprocess(*QUIET).assert_outcomes(passed=1)


def test_the_plug_in_imports_nothing_of_seekd_until_a_test_asks(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_it():
            assert not [name for name in sys.modules if name.startswith("seekd.") and name != "seekd.pytest_plugin"]
        """
    )
    pytester.runpytest_subprocess(*QUIET).assert_outcomes(passed=1)
