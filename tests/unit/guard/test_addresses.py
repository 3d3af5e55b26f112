"""E-mail and IP addresses, and what only looks like them."""

import pytest

from tests.unit.guard.finds import finds


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Write to ann@example.com.", "ann@example.com"),
        ("<ann.o'neil+news@mail.example.co.uk>", "ann.o'neil+news@mail.example.co.uk"),
        ("mailto:ann_b@example.org?subject=x", "ann_b@example.org"),
        ('{"to":"ann@example.com"}', "ann@example.com"),
        ("写信给ann@example.com。", "ann@example.com"),
        ("jürgen@example.de", "jürgen@example.de"),
        ("to 'ann@example.com' and no one", "ann@example.com"),
        ("--ann@example.com", "ann@example.com"),
        ("see ==ann.b@example.com", "ann.b@example.com"),
        ("git@example.com is a person", "git@example.com"),
        ("ann@example.com: hello", "ann@example.com"),
        (f"{'a' * 70}@example.com", f"{'a' * 64}@example.com"),
    ],
)
def test_an_email_address_is_found_without_what_is_around_it(text: str, address: str) -> None:
    assert finds(text, "email") == [address]


@pytest.mark.parametrize(
    "text",
    [
        "@app.route and @dataclass",
        "pip install pkg@1.2.3",
        "logo@2x.png",
        "git@github.com:owner/repository.git",
        "ann@localhost",
        "a @ b.com",
        "@example.com",
        "'=.-@example.com",
        "user@host_name.com_x",
        "{name}@example.com",
    ],
)
def test_what_has_an_at_sign_only_is_no_email_address(text: str) -> None:
    assert finds(text, "email") == []


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("at 192.168.10.7, port 80", "192.168.10.7"),
        ("http://10.20.30.40:8080/x", "10.20.30.40"),
        ("host=10.20.30.40", "10.20.30.40"),
        ("root@10.20.30.40", "10.20.30.40"),
        ("10.20.30.0/24", "10.20.30.0"),
        ("地址10.20.30.40上", "10.20.30.40"),
        ("It is 10.20.30.40.", "10.20.30.40"),
        ("2001:db8::8a2e:370:7334", "2001:db8::8a2e:370:7334"),
        ("[fe80::1]:443", "fe80::1"),
        ("2001:0db8:0000:0000:0000:8a2e:0370:7334", "2001:0db8:0000:0000:0000:8a2e:0370:7334"),
        ("::ffff and fd00::7 here", "fd00::7"),
        ("on fe80::1: eth0", "fe80::1"),
        ("the net 2001:db8:: is for books", "2001:db8::"),
        ("fe:1:2:3:4:5:6:7", "fe:1:2:3:4:5:6:7"),
        ("10.20.30.255", "10.20.30.255"),
        ("10.0.30.40", "10.0.30.40"),
    ],
)
def test_an_ip_address_is_found(text: str, address: str) -> None:
    assert finds(text, "ip") == [address]


@pytest.mark.parametrize(
    "text",
    [
        "version 10.0.19041.1 and v12.34.56.78",
        "release 12.34.56.78, seekd==12.34.56.78, >= 12.34.56.78",
        "8.8.8.8",
        "127.0.0.1 and 0.0.0.0 and 255.255.255.0",
        "10.20.30.400 and 10.20.30.040 and 10.20.30.40.50",
        "lib-10.20.30.40.so and x10.20.30.40 and 10.20.30.40a",
        "10:30:45 and 2026-05-11T10:30:45:12",
        "std::vector<abc::def> and add::f2 and ::1, x[1000::]",
        "00:1a:2b:3c:4d:5e",
        "10.20.30.256",
        "10.20.30.40-rc1 and 10.20.30.40_x",
        "x[10::5]",
        "gfe80::1 and fe80::1g",
        "0:0:0:0:0:0:0:1",
        "a: b: c: d: e",
    ],
)
def test_versions_masks_times_and_names_in_programs_are_no_ip_addresses(text: str) -> None:
    assert finds(text, "ip") == []
