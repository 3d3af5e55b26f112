from functools import partial

import pytest

from seekd.errors import InvalidParameter, UnknownModel
from seekd.wire.model_names import (
    OFFICIAL_MODELS,
    AllNames,
    accepted_names,
    answer_name,
    known_name,
    listed_names,
    served_name,
    thinks_by_default,
)


def test_names_of_this_server_follow_the_official_ones_once() -> None:
    assert accepted_names(["mine", "deepseek-chat"]) == (*OFFICIAL_MODELS, "mine")


@pytest.mark.parametrize(
    ("name", "thinks", "answer"),
    [
        ("deepseek-chat", False, "deepseek-v4-flash"),
        ("deepseek-reasoner", True, "deepseek-v4-flash"),
        ("deepseek-flash", True, "deepseek-flash"),
        ("mine", False, "mine"),
    ],
)
def test_what_a_name_means(name: str, thinks: bool, answer: str) -> None:
    assert thinks_by_default(name) is thinks
    assert answer_name(name) == answer


@pytest.mark.parametrize(
    ("requested", "served"),
    [
        ("claude-opus-4-1", "deepseek-v4-pro"),
        ("claude-opus-4-1[1m]", "deepseek-v4-pro"),
        ("claude-haiku-3", "deepseek-flash"),
        ("gpt-4", "deepseek-flash"),
        ("", "deepseek-flash"),
        ("x" * 256, "deepseek-flash"),
        ("deepseek-v4-pro[1m]", "deepseek-v4-pro"),
        ("deepseek-chat", "deepseek-chat"),
        ("mine", "mine"),
        ("mine[1m]", "mine"),
        ("long[1m]", "long[1m]"),
    ],
)
def test_any_name_is_served(requested: str, served: str) -> None:
    assert served_name(requested, ["mine", "long[1m]"], takes_any=True) == served


@pytest.mark.parametrize(
    ("requested", "served"),
    [("claude-opus-4-1", "deepseek-v4-pro"), ("claude", "deepseek-flash"), ("mine[1m]", "mine")],
)
def test_where_not_any_name_is_taken_those_of_anthropics_models_are(requested: str, served: str) -> None:
    assert served_name(requested, ["mine"], takes_any=False) == served


@pytest.mark.parametrize("requested", ["gpt-4", "", "Claude-opus-4", "my-claude", "gpt-4[1m]"])
def test_where_not_any_name_is_taken_others_are_refused_as_written(requested: str) -> None:
    with pytest.raises(UnknownModel) as raised:
        served_name(requested, ["mine"], takes_any=False)
    assert (raised.value.model, raised.value.known_models) == (requested, accepted_names(["mine"]))


def test_a_name_for_pictures_is_taken_and_not_listed() -> None:
    name = "deepseek-v4-flash-vision-exp"
    assert set(accepted_names(["mine"])) - set(listed_names(["mine"])) == {name}
    assert name in listed_names([name]), "whoever gives a model this name has it listed"
    assert listed_names(AllNames(["mine"])) == ("mine",)


@pytest.mark.parametrize("name", ["x" * 257, "a\0", "a\nb", "\u202etxt", "\ud800"])
def test_a_name_that_cannot_be_stored_is_told_by_its_length_alone(name: str) -> None:
    for find in (partial(served_name, takes_any=True), known_name):
        with pytest.raises(InvalidParameter, match=f"a name of {len(name)} characters") as raised:
            find(name, ["mine"])
        assert name not in raised.value.message


def test_a_server_without_a_model_for_official_names_knows_only_its_own() -> None:
    names = AllNames(["mine", "deepseek-chat"])
    assert accepted_names(names) == ("mine", "deepseek-chat")
    assert served_name("mine[1m]", names, takes_any=True) == "mine"
    for requested in ("claude-opus-x", "deepseek-v4-pro", "anything"):
        with pytest.raises(UnknownModel) as raised:
            served_name(requested, names, takes_any=True)
        assert (raised.value.model, raised.value.known_models) == (requested, ("mine", "deepseek-chat"))
    assert served_name("anything", AllNames(["deepseek-flash"]), takes_any=True) == "deepseek-flash"


def test_where_only_known_names_are_taken_the_error_lists_them() -> None:
    assert known_name("mine", ["mine"]) == "mine"
    with pytest.raises(UnknownModel) as raised:
        known_name("yours", ["mine"])
    assert raised.value.known_models == ("mine",)
