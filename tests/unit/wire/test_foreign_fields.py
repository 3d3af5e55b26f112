from seekd.wire.foreign_fields import foreign_warnings


def test_fields_that_other_servers_follow_are_named_in_the_order_of_the_body() -> None:
    (warning,) = foreign_warnings({"model": "m", "top_k": 5, "chat_template_kwargs": {"enable_thinking": False}})
    assert warning == "Without effect here: top_k, chat_template_kwargs"


def test_empty_values_ask_for_nothing() -> None:
    assert foreign_warnings({"logit_bias": None, "ignore_eos": False, "options": {}, "bad_words": []}) == ()


def test_own_and_unknown_fields_are_not_named() -> None:
    assert foreign_warnings({"model": "m", "temperature": 1, "something_new": True}) == ()
