"""The catalogue names models once, each with a source that can be pulled and a memory need that says something."""

import pytest

from seekd.errors import ConfigError
from seekd.models.catalogue import CATALOGUE, CatalogueEntry, entry_named, find_entry
from seekd.models.names import parse_hub_file


def test_names_and_sources_are_unique() -> None:
    assert len({entry.name for entry in CATALOGUE}) == len(CATALOGUE)
    assert len({entry.source for entry in CATALOGUE}) == len(CATALOGUE)


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_each_source_is_of_the_form_that_users_write(entry: CatalogueEntry) -> None:
    assert parse_hub_file(str(entry.source)) == entry.source
    assert entry.quantization in entry.source.path
    assert entry.memory_bytes > entry.size_bytes


def test_a_name_finds_its_entry_and_a_close_one_is_suggested() -> None:
    assert find_entry("deepseek-v3.1") is entry_named("deepseek-v3.1")
    assert find_entry("gpt") is None
    with pytest.raises(ConfigError, match=r"did you mean deepseek-v3\.1"):
        entry_named("deepseek-v3-1")
    with pytest.raises(ConfigError, match="seekd models list"):
        entry_named("gpt")
