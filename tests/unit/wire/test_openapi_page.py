from seekd.wire.openapi import OPERATIONS
from seekd.wire.openapi_page import docs_page
from seekd.wire.openapi_schemas import SCHEMAS

PAGE = docs_page(version="<1>").decode()


def test_every_route_and_schema_is_on_the_page() -> None:
    for operation in OPERATIONS:
        assert f"<code>{operation.path}</code>" in PAGE
    for name in SCHEMAS:
        assert f"<h2 id='{name}'>" in PAGE


def test_links_lead_to_places_on_the_page() -> None:
    for target in PAGE.split("href='#")[1:]:
        assert f"id='{target.partition(chr(39))[0]}'" in PAGE


def test_text_is_escaped_and_nothing_is_loaded() -> None:
    assert "Version &lt;1&gt;" in PAGE
    assert "<script" not in PAGE
    assert "http://" not in PAGE
    assert "https://" not in PAGE
