"""Settings come from flag, environment, file and default, in this order, and every mistake names its place."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seekd.config import ByteSize, Secret, describe, load, overlaid, overlay
from seekd.errors import ConfigError
from seekd.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Part:
    port: int = 1
    name: str | None = None
    size: ByteSize = ByteSize(5)
    place: Path = Path("here")
    token: Secret = Secret("")
    names: tuple[str, ...] = ()
    loud: bool = False
    kind: Literal["a", "b"] = "a"

    def __post_init__(self) -> None:
        if self.port < 0:
            raise ValueError("part.port must not be negative.")


@dataclass(frozen=True, kw_only=True)
class Whole:
    part: Part = field(default_factory=Part)


@dataclass(frozen=True, kw_only=True)
class Row:
    place: Path
    size: ByteSize | None = None


@dataclass(frozen=True, kw_only=True)
class WithRows:
    part: Part = field(default_factory=Part)
    rows: Mapping[str, Row] = field(default_factory=dict)


def test_flag_wins_over_environment_over_file_over_default(tmp_path: Path) -> None:
    file = tmp_path / "seekd.toml"
    file.write_text("[part]\nport = 2\nname = 'file'\nsize = '1KiB'\n")
    loaded = load(
        Whole, flags={"part.port": 4}, environment={"SEEKD_PART_PORT": "3", "SEEKD_PART_NAME": "env"}, file=file
    )
    assert loaded.settings.part == Part(port=4, name="env", size=ByteSize(1024))
    assert [row for row in describe(loaded) if row[0] == "part.port"] == [("part.port", 4, "flag --port")]


def test_flags_that_were_not_given_change_nothing() -> None:
    assert load(Whole, flags={"part.port": None}, environment={}).settings == Whole()


def test_environment_text_becomes_the_settings_type() -> None:
    environment = {"SEEKD_PART_LOUD": "true", "SEEKD_PART_NAMES": "a, b", "SEEKD_PART_PLACE": "/x"}
    part = load(Whole, environment=environment).settings.part
    assert (part.loud, part.names, part.place) == (True, ("a", "b"), Path("/x"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[part]\nport = 'x'\n", ["part.port", "'x'"]),
        ("[part]\nprt = 1\n", ["part.prt", "did you mean port?"]),
        ("[part]\nzzzz = 1\n", ["part.zzzz is not a setting."]),
        ("[part]\nkind = 'c'\n", ["part.kind", "'c'", "expected one of a, b."]),
        ("[parts]\n", ["[parts]", "did you mean part"]),
        ("[part]\nsize = '3 apples'\n", ["part.size", "512MiB"]),
        ("[part]\nport = -1\n", ["part.port must not be negative"]),
        ("part = 1\n", ["[part] is not a section"]),
        ("[part\n", ["cannot be read"]),
    ],
)
def test_a_mistake_in_the_file_names_key_value_and_file(tmp_path: Path, text: str, words: list[str]) -> None:
    file = tmp_path / "seekd.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(Whole, environment={}, file=file)
    for word in words:
        assert word in caught.value.message
    assert "?." not in caught.value.message


def test_an_unknown_variable_is_refused_and_its_neighbour_named() -> None:
    with pytest.raises(ConfigError, match=r"SEEKD_PART_PROT.*did you mean SEEKD_PART_PORT"):
        load(Whole, environment={"SEEKD_PART_PROT": "1"})


def test_the_prefix_of_a_variable_makes_no_other_one_like_it() -> None:
    with pytest.raises(ConfigError, match=r"SEEKD_FOO is not a setting\.$"):
        load(Settings, environment={"SEEKD_FOO": "1"})


def test_a_flag_is_called_what_the_user_typed() -> None:
    with pytest.raises(ConfigError, match=r"^flag --log-level: log\.level = 'loud'.*debug, info, warning, error\.$"):
        load(Settings, flags={"log.level": "loud"}, environment={})


def test_a_missing_file_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load(Whole, environment={}, file=tmp_path / "none.toml")


def test_secrets_print_as_stars_also_in_errors() -> None:
    loaded = load(Whole, environment={"SEEKD_PART_TOKEN": "hush"})
    assert loaded.settings.part.token == "hush"
    assert "hush" not in repr(loaded.settings)
    assert all("hush" not in str(value) for _, value, _ in describe(loaded))


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("17", 17), ("2GiB", 2 * 1024**3), ("1.5 MB", 1_500_000), ("512MiB", 512 * 1024**2), ("3k", 3000)],
)
def test_sizes_read_as_people_write_them(text: str, size: int) -> None:
    assert ByteSize.parse(text) == size


@given(st.integers(min_value=0, max_value=2**50))
def test_a_printed_size_reads_back_as_itself(size: int) -> None:
    assert ByteSize.parse(str(ByteSize(size))) == size


def test_a_section_of_tables_has_one_for_each_name_also_with_dots(tmp_path: Path) -> None:
    file = tmp_path / "seekd.toml"
    file.write_text('[rows."deepseek-v3.1"]\nplace = "a"\nsize = "1KiB"\n[rows.b]\nplace = "b"\n')
    loaded = load(WithRows, environment={}, file=file)
    assert loaded.settings.rows == {
        "deepseek-v3.1": Row(place=Path("a"), size=ByteSize(1024)),
        "b": Row(place=Path("b")),
    }
    assert ("rows.deepseek-v3.1.size", ByteSize(1024), str(file)) in describe(loaded)
    assert load(WithRows, environment={}).settings.rows == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[rows.a]\nplce = "x"\n', ["rows.a.plce", "did you mean place"]),
        ('[rows]\na = "x"\n', ["rows.a", "not a table"]),
        ('[rows.a]\nplace = "x"\nsize = "big"\n', ["rows.a.size", "512MiB"]),
        ('[rows.a]\nsize = "1KiB"\n', ["rows.a", "place"]),
    ],
)
def test_a_mistake_in_a_table_names_it(tmp_path: Path, text: str, words: list[str]) -> None:
    file = tmp_path / "seekd.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(WithRows, environment={}, file=file)
    assert all(word in caught.value.message for word in words), caught.value.message


# --- tables that override settings ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Base:
    size: int = 1
    names: tuple[str, ...] = ("a",)
    hidden: bool = False


@overlay(Base, without=("hidden",))
@dataclass(frozen=True, kw_only=True)
class OwnTable:
    """A table."""

    source: str


@overlay(Base)
class OwnRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model: str | None = None


def test_a_table_takes_the_keys_that_it_overrides() -> None:
    assert [field.name for field in dataclasses.fields(OwnTable)] == ["source", "size", "names"]
    assert overlaid(Base(size=5, hidden=True), OwnTable(source="x")) == Base(size=5, hidden=True)
    row = msgspec.convert({"size": 0, "names": []}, OwnRow)
    assert overlaid(Base(), row) == Base(size=0, names=())
    assert OwnTable.__doc__ == "A table."


@pytest.mark.parametrize("keys", [{"sise": 1}, {"size": "x"}])
def test_a_row_takes_no_other_keys_and_types(keys: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(keys, OwnRow)
