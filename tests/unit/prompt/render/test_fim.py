from typing import Any

import pytest

from seekd.engine.scripted import ScriptedVocabulary
from seekd.errors import InvalidParameter
from seekd.prompt.render.fim import CompletionBody, CompletionParser, fim_segments
from seekd.prompt.render.segments import encode
from seekd.prompt.tokenizer_json import tokenizer_json
from seekd.prompt.types import FimMarkers, OutputChunk, PackageFormat, PromptFormat, PromptUsage, ResponseIdentity
from tests.formats import V41

IDENTITY = ResponseIdentity(response_id="ID", model="m", created_s=5, system_fingerprint="fp")
TOKENIZER = tokenizer_json(ScriptedVocabulary())


def _parser(body: CompletionBody, *, with_tokens: bool = False) -> CompletionParser:
    return body.open_parser(IDENTITY, V41, tokenizer_json=TOKENIZER if with_tokens else None)


def _texts(chunks: list[OutputChunk]) -> list[str]:
    return [chunk["choices"][0]["text"] for chunk in chunks]


def test_the_layout_with_and_without_a_suffix() -> None:
    assert "".join(segment.text for segment in fim_segments("a", "b", V41)) == (
        "<｜begin▁of▁sentence｜><｜fim▁begin｜>a<｜fim▁hole｜>b<｜fim▁end｜>"
    )
    assert [segment.text for segment in fim_segments("a", None, V41)] == ["<｜begin▁of▁sentence｜>", "a"]
    assert [segment.text for segment in fim_segments("", "", V41)][1:] == [
        "<｜fim▁begin｜>",
        "<｜fim▁hole｜>",
        "<｜fim▁end｜>",
    ]


def test_a_marker_inside_the_prompt_stays_text() -> None:
    vocabulary = ScriptedVocabulary()
    body = CompletionBody(prompt="<｜fim▁end｜>", suffix="<｜fim▁hole｜>")
    token_ids = encode(body.render(V41), vocabulary)
    specials = [token_id for token_id in token_ids if token_id in vocabulary.special_tokens.values()]
    names = ("<｜begin▁of▁sentence｜>", "<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>")
    assert specials == [vocabulary.special_tokens[name] for name in names]


def test_the_markers_are_those_of_the_model() -> None:
    markers = FimMarkers(begin="<P>", hole="<S>", end="<M>")
    qwen = PackageFormat(prompt_format=PromptFormat.V4, bos=None, fim=markers)
    assert "".join(segment.text for segment in fim_segments("a", "b", qwen)) == "<P>a<S>b<M>"


def test_a_model_without_markers_completes_but_fills_no_hole() -> None:
    plain = PackageFormat(prompt_format=PromptFormat.V4, fim=None)
    assert len(fim_segments("a", None, plain)) == 2
    with pytest.raises(InvalidParameter, match="without a suffix"):
        fim_segments("a", "b", plain)


def test_the_whole_answer_joins_the_pieces() -> None:
    parser = _parser(CompletionBody(prompt="def"))
    chunks = parser.ready(PromptUsage(num_prompt_tokens=10, num_cached_tokens=4))
    chunks += parser.push_text("a", num_tokens=1) + parser.push_text("b", num_tokens=2)
    chunks += parser.finish(hit_length_limit=True)
    assert _texts(chunks) == ["a", "b", ""]
    whole: dict[str, Any] = parser.response()
    assert list(whole) == ["id", "object", "created", "model", "choices", "usage", "system_fingerprint"]
    assert whole["choices"] == [{"index": 0, "text": "ab", "logprobs": None, "finish_reason": "length"}]
    assert whole["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 3,
        "total_tokens": 13,
        "prompt_tokens_details": {"cached_tokens": 4},
        "prompt_cache_hit_tokens": 4,
        "prompt_cache_miss_tokens": 6,
    }


def test_echo_begins_with_the_prompt() -> None:
    parser = _parser(CompletionBody(prompt="def ", echo=True))
    chunks = parser.ready(PromptUsage(num_prompt_tokens=1)) + parser.push_text("f", num_tokens=1)
    assert _texts(chunks) == ["def ", "f"]
    parser.finish(hit_length_limit=False)
    assert parser.response()["choices"][0]["text"] == "def f"


def test_a_stop_string_ends_the_answer_and_is_not_sent() -> None:
    parser = _parser(CompletionBody(prompt="", stops=("END",)))
    parser.ready(PromptUsage(num_prompt_tokens=1))
    chunks = parser.push_text("a E", num_tokens=1)
    assert not parser.stopped
    chunks += parser.push_text("ND b", num_tokens=1)
    assert parser.stopped
    chunks += parser.finish(hit_length_limit=False)
    assert "".join(_texts(chunks)) == "a "
    assert parser.response()["choices"][0]["finish_reason"] == "stop"


def test_leading_white_space_is_kept() -> None:
    parser = _parser(CompletionBody(prompt=""))
    parser.ready(PromptUsage(num_prompt_tokens=1))
    assert _texts(parser.push_text("\n    return", num_tokens=1)) == ["\n    return"]


@pytest.mark.parametrize("include_usage", [True, False])
def test_usage_keys_in_a_stream(include_usage: bool) -> None:
    parser = _parser(CompletionBody(prompt="", include_usage=include_usage))
    parser.ready(PromptUsage(num_prompt_tokens=1))
    first, last = [*parser.push_text("a", num_tokens=1), *parser.finish(hit_length_limit=False)]
    assert ("usage" in first) is include_usage
    assert last["usage"]["completion_tokens"] == 1


def test_log_probabilities_have_the_older_shape_and_exact_offsets() -> None:
    parser = _parser(CompletionBody(prompt="xy", echo=True, stops=("Z",)), with_tokens=True)
    parser.ready(PromptUsage(num_prompt_tokens=1))
    for token_id in "éaZ".encode():
        parser.push_tokens([token_id], [(-0.5, [(token_id, -0.5), (66, -2.0)])])
    assert parser.stopped
    parser.finish(hit_length_limit=False)
    assert parser.response()["choices"][0] == {
        "index": 0,
        "text": "xyéa",
        "logprobs": {
            "text_offset": [2, 2, 3],
            "token_logprobs": [-0.5, -0.5, -0.5],
            "tokens": ["\\xc3", "\\xa9", "a"],
            "top_logprobs": [{"\\xc3": -0.5, "B": -2.0}, {"\\xa9": -0.5, "B": -2.0}, {"a": -0.5, "B": -2.0}],
        },
        "finish_reason": "stop",
    }


def test_a_token_behind_the_stop_has_no_log_probability_in_the_answer() -> None:
    parser = _parser(CompletionBody(prompt="", stops=("Z",)), with_tokens=True)
    parser.ready(PromptUsage(num_prompt_tokens=1))
    parser.push_tokens(list(b"aZb"), [(-0.5, [])] * 3)
    parser.finish(hit_length_limit=False)
    (choice,) = parser.response()["choices"]
    assert choice["text"] == "a"
    assert choice["logprobs"]["tokens"] == ["a"]


def test_a_closed_parser_holds_nothing() -> None:
    parser = _parser(CompletionBody(prompt="", stops=("ab",)), with_tokens=True)
    parser.ready(PromptUsage(num_prompt_tokens=1))
    parser.push_tokens(list(b"a"), [(-0.5, [])])
    parser.close()
    assert not parser.stopped


def test_tokens_need_a_tokenizer() -> None:
    with pytest.raises(ValueError, match="without a tokenizer"):
        _parser(CompletionBody(prompt="")).push_tokens([1], [(-1.0, [])])
