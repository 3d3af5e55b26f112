import pytest

from seekd.engine.scripted import ScriptedVocabulary
from seekd.engine.types import Sampling
from seekd.errors import InvalidParameter, UnknownModel
from seekd.prompt.render.segments import encode
from seekd.wire.calls import Call
from seekd.wire.completions import DEFAULT_MAX_TOKENS, parse_completion
from seekd.wire.dialect import CLASSIC, HOSTED, Dialect
from tests.formats import V41
from tests.wire.driving import Json, as_bytes, drive, message_of, refusal

SHAPE = "Failed to deserialize the JSON body into the target type: "


def _parse(fields: Json, *, dialect: Dialect = CLASSIC, beta: bool = True) -> Call:
    return parse_completion(as_bytes({"model": "deepseek-chat", "prompt": "def", **fields}), dialect=dialect, beta=beta)


def test_a_completion_fills_the_middle() -> None:
    call = _parse({"suffix": "return", "max_tokens": 9})
    answer = drive(call, [" f():", "\n  "])
    assert answer.whole["object"] == "text_completion"
    assert answer.whole["choices"][0]["text"] == " f():\n  "
    assert call.request.max_tokens == 9
    assert not call.request.thinking


@pytest.mark.parametrize("dialect", [CLASSIC, HOSTED], ids=lambda dialect: dialect.name)
def test_off_beta_there_are_no_completions(dialect: Dialect) -> None:
    assert message_of(refusal(lambda: _parse({}, dialect=dialect, beta=False), dialect)) == (
        'completions api is only available when using beta api (set base_url="https://api.deepseek.com/beta")'
    )


def test_unset_parameters_have_their_defaults() -> None:
    request = _parse({"suffix": None, "stop": None, "echo": None, "logprobs": None}).request
    assert request.max_tokens is None
    assert request.default_max_tokens == DEFAULT_MAX_TOKENS
    assert request.sampling == Sampling()
    assert not request.body.stops
    assert len(request.body.render(V41)) == 2


def test_every_parameter_is_read() -> None:
    request = _parse(
        {
            "temperature": 0.5,
            "top_p": 0.3,
            "presence_penalty": 1,
            "frequency_penalty": -1,
            "seed": 7,
            "logprobs": 3,
            "stop": ["a", "b"],
            "stream": True,
        }
    ).request
    assert request.sampling == Sampling(
        temperature=0.5, top_p=0.3, presence_penalty=1, frequency_penalty=-1, seed=7, num_top_logprobs=3
    )
    assert request.stream
    assert request.body.stops


def test_penalties_have_no_effect_in_hosted() -> None:
    assert _parse({"presence_penalty": 1}, dialect=HOSTED).request.sampling.presence_penalty == 0.0


def test_one_stop_string_may_stand_alone() -> None:
    assert drive(_parse({"stop": "END"}), ["a", "END"]).whole["choices"][0]["text"] == "a"


def test_a_model_without_the_markers_refuses_a_suffix() -> None:
    class Plain(ScriptedVocabulary):
        @property
        def special_tokens(self) -> dict[str, int]:
            return {name: token_id for name, token_id in super().special_tokens.items() if "fim" not in name}

    call = _parse({"suffix": "x"})
    with pytest.raises(InvalidParameter, match="fim"):
        encode(call.request.body.render(V41), Plain())
    assert encode(_parse({}).request.body.render(V41), Plain())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": 5}, f"{SHAPE}prompt: invalid type: integer `5`, expected a string at line 1 column 35"),
        ({"prompt": None}, f"{SHAPE}missing field `prompt` at line 1 column 39"),
        ({"suffix": ["a"]}, f"{SHAPE}suffix: invalid type: sequence, expected a string at line 1 column 49"),
        ({"echo": "x"}, f'{SHAPE}echo: invalid type: string "x", expected a boolean at line 1 column 50'),
        ({"logprobs": True}, f"{SHAPE}logprobs: invalid type: boolean `true`, expected u8 at line 1 column 55"),
        ({"logprobs": 1.5}, f"{SHAPE}logprobs: invalid type: floating point `1.5`, expected u8 at line 1 column 54"),
        ({"prompt": {}}, f"{SHAPE}prompt: invalid type: map, expected a string at line 1 column 34"),
        ({"logprobs": 21}, "Invalid logprobs value, the valid range of logprobs is [0, 20]."),
        ({"max_tokens": -1}, f"{SHAPE}max_tokens: invalid value: integer `-1`, expected u32 at line 1 column 55"),
        ({"temperature": 3}, "Invalid temperature value, the valid range of temperature is [0, 2]"),
        ({"stream_options": {}}, "stream_options should be set along with stream = true"),
    ],
)
def test_refusals_have_the_services_words(fields: Json, message: str) -> None:
    assert message_of(refusal(lambda: _parse(fields, dialect=HOSTED), HOSTED)) == message


@pytest.mark.parametrize("body", [b"", b"[1]", b'"x"', b"{", b"{}"])
def test_bodies_that_are_no_request_are_refused(body: bytes) -> None:
    failure = refusal(lambda: parse_completion(body, dialect=CLASSIC, beta=True), CLASSIC)
    assert failure.status == 400


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(UnknownModel):
        _parse({"model": "gpt-4"})
