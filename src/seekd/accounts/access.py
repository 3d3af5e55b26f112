"""Who may call: open, enforced or refused.

Pure functions; the api room brings the request's headers, the composition
root the address that is listened on.

| listens on | a key has ever existed | access |
|---|---|---|
| loopback | no | open: no key is asked for |
| loopback | yes, revoked or not | enforced |
| anywhere else | yes | enforced |
| anywhere else | no | the start is refused; with `--insecure` open, also to a Host that is a plain address |

While access is open, a web page that the user visits and a proxy that forwards from elsewhere could both reach a
loopback address. `open_request_refusal` keeps them out, as far as a request tells: a proxy that speaks HTTP/1.1 and
adds no header of its own cannot be told from a program on this machine.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import urlsplit

# Whoever sets one of these passes on a request of somebody else.
_FORWARDING = frozenset(
    {
        "cf-connecting-ip",
        "client-ip",
        "fastly-client-ip",
        "forwarded",
        "forwarded-for",
        "proxy-client-ip",
        "true-client-ip",
        "via",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-original-forwarded-for",
        "x-original-host",
        "x-proxyuser-ip",
        "x-real-ip",
    }
)
_FORWARDING_PREFIXES = ("x-forwarded", "x-envoy-external", "x-appengine-", "x-azure-")


EVERY_ORIGIN = "*"
_ORIGIN = re.compile(r"null|[a-z][a-z0-9+.-]*://[^/?#@*\sA-Z]*")
_SAME_MACHINE: Mapping[str, str] = MappingProxyType({"localhost": "127.0.0.1", "127.0.0.1": "localhost"})
_CREATE_KEY = "Create a key (seekd keys create)"


class AccessState(enum.StrEnum):
    """Whether a key is asked for."""

    OPEN = "open"
    ENFORCED = "enforced"


def access_state(*, allows_open: bool, any_key_ever: bool) -> AccessState:
    """Whether a key is asked for now.

    Args:
        allows_open: see `allows_open`.
        any_key_ever: a key exists or has existed.
    """
    return AccessState.OPEN if allows_open and not any_key_ever else AccessState.ENFORCED


def allows_open(host: str, *, is_insecure: bool) -> bool:
    """Whether a server that listens on `host` may be open while no key has ever existed."""
    return is_insecure or is_loopback(host)


def start_refusal(host: str, *, is_insecure: bool, any_key_ever: bool) -> str | None:
    """Why a server must not start on this address; None when it may."""
    if is_insecure or any_key_ever or is_loopback(host):
        return None
    return (
        f"Listening on {host} without any key would let everybody in. Create a key first "
        "(seekd accounts create NAME, then seekd keys create --account ID), or listen on 127.0.0.1."
    )


def origins_refusal(origins: Collection[str], access: AccessState) -> str | None:
    """Why a server must not start with these allowed origins; None when it may."""
    if access is AccessState.ENFORCED or EVERY_ORIGIN not in origins:
        return None
    return (
        f'accounts.allowed_origins has "{EVERY_ORIGIN}", and this server asks for no key: every web page that is open '
        "on this machine could use it. Create a key first (seekd accounts create NAME, then seekd keys create "
        "--account ID), or name the origins."
    )


def is_origin(text: str) -> bool:
    """Whether browsers may name a page's origin like this."""
    if _ORIGIN.fullmatch(text) is None:
        return False
    try:
        port = urlsplit(text).port
    except ValueError:
        return False
    return port is None or port != {"http": 80, "https": 443}.get(text.partition(":")[0])


@lru_cache(maxsize=8)  # every open request of a page asks
def page_origins(configured: tuple[str, ...]) -> frozenset[str]:
    """The origins of the settings; where one of `localhost` or `127.0.0.1` is among them, so is the other."""
    origins = set(configured)
    for origin in configured:
        scheme, mark, place = origin.partition("://")
        host, colon, port = place.partition(":")
        if host in _SAME_MACHINE:
            origins.add(f"{scheme}{mark}{_SAME_MACHINE[host]}{colon}{port}")
    return frozenset(origins)


@lru_cache(maxsize=64)  # every open request asks, nearly always for the same name
def is_loopback(host: str) -> bool:
    """Whether an address or name means this machine only; a name other than localhost does not count."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


def open_request_refusal(
    headers: Iterable[tuple[str, str]],
    *,
    http_version: str = "1.1",
    allowed_hosts: Collection[str] = (),
    allowed_origins: Collection[str] = (),
    is_insecure: bool = False,
) -> str | None:
    """Why a request without a key must not be served although access is open, and what to do; None when it may.

    Args:
        headers: every header of the request; names in any case, repeated ones repeated.
        http_version: of the request. Clients have spoken 1.1 for decades; 1.0 is what nginx speaks to what is behind it
            unless told otherwise, without any header that says so.
        allowed_hosts: Host names, without a port, that are served besides the loopback ones.
        allowed_origins: Origins that are served besides the server's own; see `page_origins`.
        is_insecure: the server is meant to be open on other addresses: a Host that is a plain address is served too. It
            cannot be a name that somebody has pointed at this machine, which is what the check is against.
    """
    if http_version == "1.0":
        return f"the request speaks HTTP/1.0, as proxies do. {_CREATE_KEY}."
    lowered = [(name.lower(), value.strip()) for name, value in headers]
    for name, _ in lowered:
        if name in _FORWARDING or name.startswith(_FORWARDING_PREFIXES):
            return f"the header {name} says that the request was forwarded. {_CREATE_KEY}."
    hosts = [value for name, value in lowered if name == "host"]
    if len(hosts) != 1:
        return "there must be exactly one Host header."
    host_name = _host_name(hosts[0])
    if host_name is None or not (
        is_loopback(host_name)
        or host_name in {host.lower() for host in allowed_hosts}
        or (is_insecure and _is_address(host_name))
    ):
        return (
            f"the Host {hosts[0]!r} is not this machine. {_CREATE_KEY}, or name the host, without its port, in "
            "[accounts] allowed_hosts."
        )
    for origin in (value for name, value in lowered if name == "origin"):
        if not _is_own_origin(origin, hosts[0]) and origin not in allowed_origins:
            return f"the Origin {origin!r} is another site. Name it in [accounts] allowed_origins."
    # A browser says so even where it sends no Origin, as for a plain GET of an image or a script.
    if any(name == "sec-fetch-site" and value.lower() in ("cross-site", "same-site") for name, value in lowered):
        origins = [value for name, value in lowered if name == "origin"]
        if not any(origin in allowed_origins for origin in origins):
            return (
                "the browser says that another site sent the request, and [accounts] allowed_origins does not have the "
                f"Origin that it names, if any. {_CREATE_KEY}, or name it there."
            )
    return None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_own_origin(origin: str, host: str) -> bool:
    return origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")


def _host_name(host: str) -> str | None:
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises when the port is no number
    except ValueError:
        return None
    if parts.username is not None or parts.path or parts.query or parts.fragment:
        return None
    return parts.hostname
