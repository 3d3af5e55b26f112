import pytest

from seekd.errors import MalformedBody, UnknownModel
from seekd.wire.dialect import CLASSIC
from seekd.wire.tokenize import parse_tokenize, tokenize_body
from tests.formats import V41
from tests.wire.driving import HELLO, Json, as_bytes


def _text(body: Json) -> str:
    segments = parse_tokenize(as_bytes(body), dialect=CLASSIC).render(V41)
    return "".join(segment.text for segment in segments)


def test_text_is_counted_as_it_is() -> None:
    assert _text({"text": "a </think> b"}) == "a </think> b"
    assert _text({"text": ""}) == ""


def test_a_chat_body_is_counted_with_its_markers() -> None:
    assert _text({"model": "deepseek-chat", "messages": HELLO}).startswith("<｜begin▁of▁sentence｜><｜User｜>")


@pytest.mark.parametrize("body", [{"text": 5}, {"model": "deepseek-chat"}, {"prompt": "a"}])
def test_other_shapes_are_refused(body: Json) -> None:
    with pytest.raises(MalformedBody):
        _text(body)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(UnknownModel):
        _text({"model": "gpt-4", "messages": HELLO})


def test_a_body_that_is_not_json_is_refused() -> None:
    with pytest.raises(MalformedBody):
        parse_tokenize(b"{", dialect=CLASSIC)


def test_the_answer_has_the_count_and_the_ids() -> None:
    assert tokenize_body([5, 6]) == b'{"object":"tokenize","num_tokens":2,"token_ids":[5,6]}'
