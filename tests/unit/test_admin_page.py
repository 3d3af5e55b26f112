"""The page of the admin API has every admin route, with bodies that the routes take."""

import re
from pathlib import Path

import msgspec

from seekd.wire import admin
from seekd.wire.openapi import OPERATIONS

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "admin.md").read_text(encoding="utf-8")
ROWS = {
    match[1]: match[2] for match in re.finditer(r"^\| `([A-Z]+ /admin\S*)` \|(?: `(\{.*?\})`)?", PAGE, re.MULTILINE)
}
BODIES = {
    name: kind for name, kind in vars(admin).items() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
}


def test_every_admin_route_is_on_the_page() -> None:
    routes = {f"{operation.method.upper()} {operation.path}" for operation in OPERATIONS if "/admin" in operation.path}
    assert ROWS.keys() == routes


def test_the_bodies_on_the_page_are_taken() -> None:
    for operation in OPERATIONS:
        body = ROWS.get(f"{operation.method.upper()} {operation.path}")
        if body and operation.request:
            msgspec.json.decode(body, type=BODIES[operation.request])
