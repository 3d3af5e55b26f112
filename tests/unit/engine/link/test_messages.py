"""Everything that crosses the process border arrives as it left."""

from __future__ import annotations

import msgspec
import pytest

from seekd.config import ByteSize
from seekd.engine.link.messages import (
    Abort,
    Accepted,
    FromEngine,
    Loaded,
    Report,
    Shutdown,
    Submit,
    ToEngine,
    Updates,
    WorkerJob,
    decode_job,
    encode_job,
    error_of,
    refusal,
)
from seekd.engine.settings import EngineSettings, KvType
from seekd.engine.types import (
    CacheExplanation,
    ConstraintSpec,
    EngineRequest,
    EngineStats,
    EngineUpdate,
    FinishReason,
    ModelInfo,
    Sampling,
    TokenLogprobs,
)
from seekd.errors import (
    ConfigError,
    ContextTooLong,
    EngineError,
    InvalidParameter,
    Overloaded,
    SeekdError,
    ShuttingDown,
    StoreError,
)

REQUEST = EngineRequest(
    request_id="r",
    prompt_token_ids=[1, 2],
    max_tokens=3,
    sampling=Sampling(temperature=0.5, seed=7, num_top_logprobs=2),
    cache_salt="s",
    fairness_key="f",
    constraint=ConstraintSpec(grammar="g"),
    deadline_s=1.5,
)
UPDATE = EngineUpdate(
    request_id="r",
    token_ids=[1],
    logprobs=[TokenLogprobs(logprob=-0.5, top=[(1, -0.5)])],
    finish_reason=FinishReason.STOP,
    num_cached_tokens=64,
    error="e",
)
INFO = ModelInfo(
    name="n", architecture="a", context_length=1, vocab_size=2, size_bytes=3, metadata={"k": "v"}, fingerprint="f"
)
EXPLANATION = CacheExplanation(
    request_id="r",
    num_known_tokens=1,
    num_slot_tokens=2,
    num_ram_tokens=3,
    num_disk_tokens=4,
    num_used_tokens=5,
    reason="x",
)


@pytest.mark.parametrize("message", [Submit(REQUEST), Abort("r"), Shutdown()])
def test_messages_to_the_engine_round_trip(message: ToEngine) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=ToEngine) == message


@pytest.mark.parametrize(
    "message",
    [
        Loaded(INFO),
        Accepted("r"),
        Updates([UPDATE], [EXPLANATION]),
        refusal("r", Overloaded()),
        Report(EngineStats(num_running=1)),
    ],
)
def test_messages_from_the_engine_round_trip(message: FromEngine) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=FromEngine) == message


def test_the_job_round_trips() -> None:
    job = WorkerJob(
        model_path="m\n.gguf",
        settings=EngineSettings(cache_ram=ByteSize(5), kv_type=KvType.Q8_0),
        cache_dir="d",
        log_level="debug",
    )
    assert decode_job(encode_job(job)) == job


@pytest.mark.parametrize(
    "error",
    [ConfigError("c"), EngineError("e"), InvalidParameter("i"), Overloaded("o"), ShuttingDown("s")],
)
def test_errors_keep_their_class_and_text(error: SeekdError) -> None:
    back = error_of(refusal("r", error))
    assert (type(back), back.message) == (type(error), error.message)


def test_a_prompt_that_is_too_long_keeps_its_facts() -> None:
    back = error_of(refusal("r", ContextTooLong(context_length=10, num_prompt_tokens=20)))
    assert isinstance(back, ContextTooLong)
    assert (back.context_length, back.num_prompt_tokens) == (10, 20)


def test_other_errors_arrive_as_engine_errors() -> None:
    back = error_of(refusal("r", StoreError("full")))
    assert (type(back), back.message) == (EngineError, "full")
