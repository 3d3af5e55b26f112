import pytest

from seekd.wire.model_names import OFFICIAL_MODELS, accepted_names, served_name, thinks_by_default


def test_names_of_this_server_follow_the_official_ones_once() -> None:
    assert accepted_names(["mine", "deepseek-chat"]) == (*OFFICIAL_MODELS, "mine")


@pytest.mark.parametrize(
    ("name", "thinks", "served"),
    [
        ("deepseek-chat", False, "deepseek-v4-flash"),
        ("deepseek-reasoner", True, "deepseek-v4-flash"),
        ("deepseek-flash", True, "deepseek-flash"),
        ("mine", False, "mine"),
    ],
)
def test_what_a_name_stands_for(name: str, thinks: bool, served: str) -> None:
    assert thinks_by_default(name) is thinks
    assert served_name(name) == served
