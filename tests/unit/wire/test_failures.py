import json
import re
from collections.abc import Iterator

import pytest

from seekd import errors
from seekd.config import ByteSize
from seekd.errors import (
    BodyTimeout,
    BodyTooLarge,
    ContextTooLong,
    EngineError,
    LimitExceeded,
    MalformedBody,
    Overloaded,
    RateLimited,
    SeekdError,
    Unauthenticated,
    UnknownModel,
    UnpricedModel,
)
from seekd.wire import failures
from seekd.wire.dialect import CLASSIC, HOSTED, Dialect
from seekd.wire.failures import FAILURES, error_data, error_facts, failure_response

BOTH = pytest.mark.parametrize("dialect", [CLASSIC, HOSTED], ids=lambda dialect: dialect.name)
MAPPED_STATUSES = {400, 401, 402, 403, 408, 409, 413, 415, 422, 429, 500, 503}


def _subclasses(error_class: type[SeekdError]) -> Iterator[type[SeekdError]]:
    yield error_class
    for subclass in error_class.__subclasses__():
        yield from _subclasses(subclass)


def _example(error_class: type[SeekdError]) -> SeekdError:
    examples: dict[type[SeekdError], SeekdError] = {
        ContextTooLong: ContextTooLong(context_length=8, num_prompt_tokens=9),
        UnknownModel: UnknownModel("x", known_models=("a", "b")),
        UnpricedModel: UnpricedModel("x"),
        BodyTooLarge: BodyTooLarge(limit_bytes=5),
        BodyTimeout: BodyTimeout(limit_s=5),
        LimitExceeded: LimitExceeded(what="messages", value=3, limit=2, setting="guard.max_messages"),
    }
    return examples[error_class] if error_class in examples else error_class()


ALL_CLASSES = [error_class for error_class in _subclasses(SeekdError) if error_class.__module__ == errors.__name__]


def test_every_error_class_has_a_row_of_its_own() -> None:
    assert set(FAILURES) == set(ALL_CLASSES)


@BOTH
@pytest.mark.parametrize("error_class", ALL_CLASSES, ids=lambda error_class: error_class.__name__)
def test_every_error_class_gets_an_answer(error_class: type[SeekdError], dialect: Dialect) -> None:
    failure = failure_response(_example(error_class), dialect)
    assert failure.status in MAPPED_STATUSES
    if failure.content_type in (failures.JSON, failures.OCTETS) and failure.body.startswith(b"{"):
        error = json.loads(failure.body)["error"]
        assert list(error) == ["message", "type", "param", "code"]
        assert error["message"]
        assert error["param"] is None


@pytest.mark.parametrize("error_class", ALL_CLASSES, ids=lambda error_class: error_class.__name__)
def test_classic_answers_are_always_json_envelopes(error_class: type[SeekdError]) -> None:
    failure = failure_response(_example(error_class), CLASSIC)
    assert failure.content_type == "application/json"
    assert json.loads(failure.body)["error"]["code"]


@pytest.mark.parametrize(
    ("error", "status", "sentence", "error_type", "code"),
    [
        (RateLimited(), 429, "Rate limit exceeded", "rate_limit_error", "rate_limit_exceeded"),
        (
            RateLimited("10 requests a minute are allowed."),
            429,
            "Rate limit exceeded: 10 requests a minute are allowed.",
            "rate_limit_error",
            "rate_limit_exceeded",
        ),
        (UnknownModel("x", known_models=("a",)), 400, "Model not found", "invalid_request_error", "model_not_found"),
        (
            ContextTooLong(context_length=8, num_prompt_tokens=9, num_requested_tokens=2),
            400,
            "Maximum context length exceeded",
            "invalid_request_error",
            "context_length_exceeded",
        ),
        (
            ContextTooLong(context_length=8, num_prompt_tokens=9, is_minimum=True),
            400,
            "Maximum context length exceeded: this model's maximum context length is 8 tokens, the prompt has at least",
            "invalid_request_error",
            "context_length_exceeded",
        ),
    ],
    ids=["rate", "rate with reason", "model", "context", "context of a prompt that was not read to its end"],
)
def test_the_classic_errors(error: SeekdError, status: int, sentence: str, error_type: str, code: str) -> None:
    failure = failure_response(error, CLASSIC)
    body = json.loads(failure.body)["error"]
    assert failure.status == status
    assert body["message"].startswith(sentence)
    assert (body["type"], body["code"]) == (error_type, code)


def test_a_wrong_key_has_a_code_by_which_gateways_know_it() -> None:
    # LiteLLM takes whatever carries `invalid_request_error` for a bad request.
    for tail in (None, "0000"):
        error = json.loads(failure_response(Unauthenticated(key_tail=tail), CLASSIC).body)["error"]
        assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")
    assert b'"invalid_request_error"' in failure_response(Unauthenticated(key_tail="0000"), HOSTED).body


def test_a_size_is_said_in_bytes() -> None:
    assert "the 1024 bytes that" in BodyTooLarge(limit_bytes=ByteSize(1024)).message


@BOTH
def test_clients_know_a_full_context_by_one_phrase(dialect: Dialect) -> None:
    # DeepSeek's own harness compacts a conversation where it reads these words.
    error = ContextTooLong(context_length=8, num_prompt_tokens=9)
    assert "maximum context length" in error_facts(error, dialect).message


def test_details_follow_the_classic_sentence() -> None:
    message = json.loads(failure_response(UnknownModel("gpt-4", known_models=("a", "b")), CLASSIC).body)["error"]
    assert "'gpt-4'" in message["message"]
    assert "a, b" in message["message"]


def test_retry_after_is_whole_seconds_and_classic_only() -> None:
    error = RateLimited(retry_after_s=1.2)
    assert failure_response(error, CLASSIC).headers == {"retry-after": "2"}
    assert failure_response(error, HOSTED).headers == {}
    assert failure_response(RateLimited(), CLASSIC).headers == {}
    assert failure_response(RateLimited(retry_after_s=0.01), CLASSIC).headers == {"retry-after": "1"}
    assert failure_response(Overloaded(), CLASSIC).headers == {"retry-after": "1"}


def test_a_refusal_by_a_limit_says_where_the_caller_stands_in_classic_only() -> None:
    error = RateLimited(retry_after_s=3.0, headers=(("x-ratelimit-remaining-requests", "0"),))
    assert failure_response(error, CLASSIC).headers == {"x-ratelimit-remaining-requests": "0", "retry-after": "3"}
    assert failure_response(error, HOSTED).headers == {}


def test_a_request_that_no_wait_helps_tells_clients_not_to_repeat_it() -> None:
    assert failure_response(RateLimited(can_pass_later=False), CLASSIC).headers == {"x-should-retry": "false"}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            RateLimited("25 requests may run at once.", concurrency=26, concurrency_limit=25, is_balance_derived=True),
            (
                "Too many requests. Your current concurrency is 26, which exceeds your concurrency limit of 25 based "
                "on your remaining balance. Please top up your balance to restore your concurrency."
            ),
        ),
        (
            RateLimited("5 requests may run at once.", concurrency=6, concurrency_limit=5),
            "Too many requests. Your current concurrency is 6, which exceeds your concurrency limit of 5.",
        ),
        (
            RateLimited("9 tokens a minute are allowed.", window="tokens"),
            "Rate limit reached for TPM: 9 tokens a minute are allowed.",
        ),
        (
            RateLimited("9 requests a minute are allowed.", window="requests"),
            "Rate limit reached for RPM: 9 requests a minute are allowed.",
        ),
    ],
)
def test_hosted_says_a_limit_in_the_services_words(error: RateLimited, message: str) -> None:
    assert json.loads(failure_response(error, HOSTED).body)["error"]["message"] == message


def test_a_foreign_error_tells_nothing() -> None:
    failure = failure_response(KeyError("a secret"), CLASSIC)
    assert failure.status == 500
    assert b"secret" not in failure.body


def test_hosted_keeps_an_engines_words_to_itself() -> None:
    assert b"llama" in failure_response(EngineError("llama died"), CLASSIC).body
    assert b"llama" not in failure_response(EngineError("llama died"), HOSTED).body


@pytest.mark.parametrize(("is_syntax", "content_type"), [(True, failures.OCTETS), (False, failures.JSON)])
def test_hosted_content_types_of_malformed_bodies(is_syntax: bool, content_type: str) -> None:
    failure = failure_response(MalformedBody("broken", is_syntax=is_syntax), HOSTED)
    assert failure.content_type == content_type
    assert failure.body.startswith(b"broken" if is_syntax else b"{")


def test_a_missing_key_is_explained_in_classic() -> None:
    message = json.loads(failure_response(Unauthenticated(), CLASSIC).body)["error"]["message"]
    assert message.startswith("Authentication Fails")
    assert "Bearer" in message


@BOTH
def test_the_data_of_a_frame_is_the_envelope_even_where_the_body_is_plain_text(dialect: Dialect) -> None:
    data = error_data(MalformedBody("broken"), dialect)
    assert json.loads(data)["error"]["message"] == "broken"
    assert "\n" not in data
    assert error_facts(MalformedBody("broken"), dialect).message == "broken"


@BOTH
@pytest.mark.parametrize("tool", ["tts", "asr", "ocr", "search", "fetch"])
def test_a_tool_route_of_the_service_says_what_to_use(tool: str, dialect: Dialect) -> None:
    failure = failures.not_found(dialect, path=f"/v1/tools/{tool}")
    assert (failure.status, failure.content_type) == (404, "application/json")
    sentence = json.loads(failure.body)["error"]["message"]
    assert re.fullmatch(r"seekd [^:]+: (give|send|offer) [^:]+\.", sentence)
    assert failures.not_found(dialect, path=f"/v2/tools/{tool}") == failures.not_found(dialect)


def test_routes_that_are_not_there() -> None:
    assert failures.not_found(HOSTED).body == b""
    assert failures.not_found(HOSTED).content_type is None
    for dialect in (CLASSIC, HOSTED):
        failure = failures.method_not_allowed(dialect, allowed="POST")
        assert (failure.status, failure.headers) == (405, {"allow": "POST"})
    assert json.loads(failures.not_found(CLASSIC).body)["error"]["message"]
