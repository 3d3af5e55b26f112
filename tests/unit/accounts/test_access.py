import pytest

from seekd.accounts.access import (
    AccessState,
    access_state,
    allows_open,
    is_loopback,
    is_origin,
    open_request_refusal,
    origins_refusal,
    page_origins,
    start_refusal,
)

LOOPBACK = ["127.0.0.1", "localhost", "LOCALHOST.", "::1", "[::1]", "127.8.9.1"]
ELSEWHERE = ["0.0.0.0", "::", "192.168.1.4", "example.com", "localhost.example.com", "127.0.0.1.nip.io", ""]


@pytest.mark.parametrize("host", LOOPBACK)
def test_a_loopback_server_is_open_until_a_key_has_existed(host: str) -> None:
    assert is_loopback(host)
    assert start_refusal(host, is_insecure=False, any_key_ever=False) is None
    may_be_open = allows_open(host, is_insecure=False)
    assert access_state(allows_open=may_be_open, any_key_ever=False) is AccessState.OPEN
    assert access_state(allows_open=may_be_open, any_key_ever=True) is AccessState.ENFORCED


@pytest.mark.parametrize("host", ELSEWHERE)
def test_elsewhere_keys_are_enforced_and_a_start_without_any_is_refused(host: str) -> None:
    refusal = start_refusal(host, is_insecure=False, any_key_ever=False)
    assert refusal is not None
    assert "seekd keys create" in refusal
    assert start_refusal(host, is_insecure=False, any_key_ever=True) is None
    assert not allows_open(host, is_insecure=False)


def test_insecure_is_open_elsewhere_until_a_key_has_existed() -> None:
    assert start_refusal("0.0.0.0", is_insecure=True, any_key_ever=False) is None
    may_be_open = allows_open("0.0.0.0", is_insecure=True)
    assert access_state(allows_open=may_be_open, any_key_ever=False) is AccessState.OPEN
    assert access_state(allows_open=may_be_open, any_key_ever=True) is AccessState.ENFORCED


SERVED = [
    [("Host", "127.0.0.1:8000")],
    [("host", "localhost:8000"), ("user-agent", "OpenAI/Python")],
    [("Host", "[::1]:8000")],
    [("Host", "localhost:8000"), ("Origin", "http://localhost:8000"), ("Sec-Fetch-Site", "same-origin")],
    [("Host", "LOCALHOST:8000"), ("Origin", "http://localhost:8000")],
    [("Host", "localhost"), ("Sec-Fetch-Site", "none")],
    [("Host", "box.lan:8000")],
    [("Host", "localhost:8000"), ("Origin", "https://app.example"), ("Sec-Fetch-Site", "cross-site")],
]


@pytest.mark.parametrize("headers", SERVED)
def test_requests_from_this_machine_are_served(headers: list[tuple[str, str]]) -> None:
    refusal = open_request_refusal(headers, allowed_hosts=["box.lan"], allowed_origins=["https://app.example"])
    assert refusal is None


REFUSED = [
    ([], "exactly one Host"),
    ([("Host", "localhost"), ("Host", "localhost")], "exactly one Host"),
    ([("Host", "")], "not this machine"),
    ([("Host", "evil.example")], "not this machine"),
    ([("Host", "127.0.0.1.nip.io:8000")], "not this machine"),
    ([("Host", "user@localhost")], "not this machine"),
    ([("Host", "localhost:port")], "not this machine"),
    ([("Host", "localhost/evil")], "not this machine"),
    ([("Host", "192.168.1.5:8000")], "not this machine"),
    ([("Host", "localhost:8000"), ("Origin", "https://evil.example")], "another site"),
    ([("Host", "localhost:8000"), ("Origin", "http://localhost:3000")], "another site"),
    ([("Host", "localhost:8000"), ("Origin", "null")], "another site"),
    ([("Host", "localhost:8000"), ("Origin", "http://localhost:8000.evil.example")], "another site"),
    ([("Host", "localhost:8000"), ("Origin", "http://[")], "another site"),
    ([("Host", "localhost:8000"), ("Origin", "http://localhost:8000/")], "another site"),
    ([("Host", "localhost:8000"), ("Sec-Fetch-Site", "cross-site")], "browser says"),
    ([("Host", "localhost:8000"), ("X-Forwarded-For", "10.0.0.9")], "forwarded"),
    ([("Host", "localhost:8000"), ("x-forwarded-anything", "")], "forwarded"),
    ([("Host", "localhost:8000"), ("Forwarded", "for=10.0.0.9")], "forwarded"),
    ([("Host", "localhost:8000"), ("Via", "1.1 proxy")], "forwarded"),
    ([("Host", "localhost:8000"), ("X-Real-IP", "10.0.0.9")], "forwarded"),
]


@pytest.mark.parametrize(("headers", "reason"), REFUSED)
def test_web_pages_and_proxies_are_refused(headers: list[tuple[str, str]], reason: str) -> None:
    refusal = open_request_refusal(headers)
    assert refusal is not None
    assert reason in refusal


@pytest.mark.parametrize(
    ("headers", "setting"),
    [
        ([("Host", "box.lan")], "allowed_hosts"),
        ([("Host", "localhost"), ("Origin", "https://app.example")], "allowed_origins"),
        ([("Host", "localhost"), ("Sec-Fetch-Site", "cross-site")], "allowed_origins"),
        ([("Host", "localhost"), ("Via", "1.1 proxy")], None),
    ],
)
def test_a_refusal_names_the_setting_that_would_help(headers: list[tuple[str, str]], setting: str | None) -> None:
    refusal = open_request_refusal(headers) or ""
    assert [name for name in ("allowed_hosts", "allowed_origins") if name in refusal] == ([setting] if setting else [])
    assert ("seekd keys create" in refusal) == (setting != "allowed_origins" or "Origin that" in refusal)


def test_localhost_and_its_address_are_one_origin() -> None:
    assert page_origins(("http://localhost:3000", "https://127.0.0.1", "null")) == {
        *("http://localhost:3000", "http://127.0.0.1:3000", "https://127.0.0.1", "https://localhost", "null")
    }
    assert page_origins(("https://localhost.example",)) == {"https://localhost.example"}


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example",
        "http://localhost:3000",
        "http://[::1]:8443",
        "null",
        "file://",
        "chrome-extension://abcdef",
        "https://a.example:80",
    ],
)
def test_what_browsers_name_is_an_origin(origin: str) -> None:
    assert is_origin(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "app.example",
        "https://app.example/",
        "https://App.example",
        "https://*.example",
        "https://app.example:443",
        "http://app.example:80",
        "http://u@app.example",
        "http://localhost:port",
        "http://[",
        "https://a.example https://b.example",
    ],
)
def test_what_browsers_never_name_is_none(origin: str) -> None:
    assert not is_origin(origin)


def test_every_origin_is_no_choice_for_a_server_without_keys() -> None:
    assert origins_refusal(["*"], AccessState.ENFORCED) is None
    assert origins_refusal(["https://app.example", "null"], AccessState.OPEN) is None
    refusal = origins_refusal(["https://app.example", "*"], AccessState.OPEN)
    assert refusal is not None
    assert "seekd keys create" in refusal


def test_a_request_of_http_1_0_comes_from_a_proxy() -> None:
    refusal = open_request_refusal([("Host", "localhost:8000")], http_version="1.0")
    assert refusal is not None
    assert "HTTP/1.0" in refusal


@pytest.mark.parametrize(
    ("host", "is_served"),
    [("192.168.1.5:8000", True), ("[2001:db8::5]:8000", True), ("rebound.example:8000", False), ("localhost", True)],
)
def test_an_insecure_server_is_open_to_plain_addresses_and_not_to_other_names(host: str, is_served: bool) -> None:
    refusal = open_request_refusal([("Host", host)], is_insecure=True)
    assert (refusal is None) == is_served


def test_a_plain_address_is_no_host_of_a_server_that_is_open_by_default() -> None:
    assert open_request_refusal([("Host", "192.168.1.5:8000")]) is not None


def test_an_insecure_server_answers_no_foreign_page_either() -> None:
    headers = [("Host", "192.168.1.5:8000"), ("Origin", "https://evil.example")]
    assert open_request_refusal(headers, is_insecure=True) is not None
