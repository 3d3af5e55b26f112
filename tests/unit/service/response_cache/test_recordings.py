import asyncio
from dataclasses import replace

from seekd.engine.types import ConstraintSpec, EngineRequest, EngineUpdate, FinishReason, Sampling, TokenLogprobs
from seekd.service.response_cache.recordings import Recorder, Recording, recording_name

REQUEST = EngineRequest(request_id="r", prompt_token_ids=[1, 2, 3], max_tokens=5, cache_salt="a\0")
UPDATES = [
    EngineUpdate(request_id="r", num_cached_tokens=2),
    EngineUpdate(request_id="r", token_ids=[7, 8], logprobs=[TokenLogprobs(logprob=-1.0, top=[(7, -1.0)])] * 2),
    EngineUpdate(request_id="r", token_ids=[9], finish_reason=FinishReason.STOP),
]


def recorded() -> Recording:
    recorder = Recorder()
    for number, update in enumerate(UPDATES):
        recorder.note(update, now_s=100.0 + number / 100)
    return recorder.recording()


def name(request: EngineRequest, *, fingerprint: str = "f", stops: tuple[str, ...] = (), protocol: str = "p") -> str:
    return recording_name(request, fingerprint=fingerprint, stops=stops, protocol=protocol)


async def test_a_recording_says_again_what_the_engine_said_for_another_request() -> None:
    content = recorded().encode()
    again = Recording.decode(content)
    assert again is not None
    assert again.num_completion_tokens == 3
    assert [step.at_s for step in again.steps] == [0.0, 0.01, 0.02]
    replayed = [update async for update in again.replay("other", in_rhythm=True)]
    assert [replace(update, request_id="r", token_ids=list(update.token_ids)) for update in replayed] == [
        replace(update, token_ids=list(update.token_ids)) for update in UPDATES
    ]
    assert {update.request_id for update in replayed} == {"other"}


async def test_at_once_many_steps_come_in_one_and_a_long_answer_lets_others_run() -> None:
    [whole] = [update async for update in recorded().replay("other", in_rhythm=False)]
    assert (whole.token_ids, whole.num_cached_tokens, whole.finish_reason) == ([7, 8, 9], 2, FinishReason.STOP)
    recorder = Recorder()
    for number in range(1000):
        recorder.note(EngineUpdate(request_id="r", token_ids=[number]), now_s=0.0)
    ran_between = 0

    async def other() -> None:
        nonlocal ran_between
        while True:
            await asyncio.sleep(0)
            ran_between += 1

    task = asyncio.create_task(other())
    token_ids: list[int] = []
    num_updates = 0
    async for update in recorder.recording().replay("r", in_rhythm=False):
        token_ids += update.token_ids
        num_updates += 1
    task.cancel()
    assert token_ids == list(range(1000))
    assert num_updates == 16
    assert ran_between >= 10


def test_what_is_no_recording_is_none() -> None:
    content = recorded().encode()
    assert Recording.decode(content[:-1]) is None
    assert Recording.decode(b"") is None
    assert Recording.decode(b"\x91\x01") is None


def test_equal_requests_have_one_name_whoever_asks_and_when() -> None:
    same = replace(REQUEST, request_id="other", prompt_token_ids=(1, 2, 3), deadline_s=9.0)
    assert name(same, protocol="another") == name(REQUEST)
    assert len(name(REQUEST)) == 64


def test_whatever_decides_the_tokens_is_in_the_name() -> None:
    others = [
        replace(REQUEST, prompt_token_ids=[1, 2, 4]),
        replace(REQUEST, max_tokens=6),
        replace(REQUEST, cache_salt="b\0"),
        replace(REQUEST, sampling=Sampling(seed=1)),
        replace(REQUEST, constraint=ConstraintSpec(grammar="g")),
    ]
    names = {name(request) for request in (REQUEST, *others)}
    names |= {name(REQUEST, fingerprint="g"), name(REQUEST, stops=("a", "b")), name(REQUEST, stops=("ab",))}
    names.add(name(REQUEST, stops=("a", "b"), protocol="q"))
    assert len(names) == 10
