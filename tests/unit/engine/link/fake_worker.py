"""A stand-in for the engine process that obeys its requests: the first prompt token says what to do.

0 count up, one token an update   1 count up slowly, for ever   2 die before accepting   3 exit with status 7
4 refuse: the queue is full       5 send garbage, then count up   6 explain 1,100 requests, then count up
7 hang   8 compute a prompt slowly, for ever, one token an update
The model's path says how loading goes: "refuse", "die", "slow", "chatty" (a line of 100,000 characters first),
"stumble" (the second start is refused), anything else loads.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from pathlib import Path

import msgspec

from seekd.engine.link.frames import FrameReader, frame
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
    refusal,
)
from seekd.engine.link.serving import receive_job
from seekd.engine.types import CacheExplanation, EngineStats, EngineUpdate, FinishReason, ModelInfo
from seekd.errors import ConfigError, Overloaded

INFO = ModelInfo(
    name="fake", architecture="fake", context_length=100, vocab_size=10, size_bytes=0, metadata={}, fingerprint="f"
)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    peer = socket.socket(fileno=sys.stdin.fileno())
    job = receive_job(peer)
    say("INFO seekd.fake loading")
    how = Path(job.model_path).name
    Path(job.model_path).with_suffix(".began").touch()
    if how == "stumble":
        starts = Path(job.model_path).with_suffix(".starts")
        starts.write_text(starts.read_text() + "x" if starts.exists() else "x")
        if starts.read_text() == "xx":
            how = "refuse"
    if how == "refuse":
        send(peer, refusal(None, ConfigError("The file is no good.")))
        sys.exit(2)
    if how == "chatty":
        say("x" * 100_000)
    if how == "die":
        say("GGML_ASSERT failed")
        os.abort()
    if how == "slow":
        time.sleep(3600)
    send(peer, Loaded(INFO))
    serve(peer, Path(job.model_path))


def send(peer: socket.socket, message: FromEngine) -> None:
    peer.sendall(frame(msgspec.msgpack.encode(message)))


def say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def serve(peer: socket.socket, model_path: Path) -> None:
    running: dict[str, int] = {}
    prompts: dict[str, int] = {}
    frames = FrameReader()
    while True:
        data = peer.recv(1 << 16) if select.select([peer], [], [], 0.01)[0] else None
        if data == b"":
            return
        for encoded in frames.feed(data or b""):
            message = msgspec.msgpack.decode(encoded, type=ToEngine)
            if isinstance(message, Shutdown):
                return
            if isinstance(message, Abort):
                running.pop(message.request_id, None)
                num_computed = prompts.pop(message.request_id, 0)
                send(peer, Updates([progress(message.request_id, num_computed, FinishReason.ABORT)]))
                with model_path.with_suffix(".aborted").open("a") as file:
                    file.write(message.request_id + "\n")
            elif isinstance(message, Submit):
                submit(peer, message, running, prompts)
        for request_id in list(running):
            running[request_id] += 1
            send(peer, Updates([EngineUpdate(request_id=request_id, token_ids=[running[request_id]])]))
        for request_id in list(prompts):
            prompts[request_id] += 1
            send(peer, Updates([progress(request_id, prompts[request_id])]))


def progress(request_id: str, num_computed: int, reason: FinishReason | None = None) -> EngineUpdate:
    return EngineUpdate(request_id=request_id, num_computed_tokens=num_computed, finish_reason=reason)


def submit(peer: socket.socket, message: Submit, running: dict[str, int], prompts: dict[str, int]) -> None:
    request = message.request
    order = request.prompt_token_ids[0]
    if order == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    send(peer, Accepted(request.request_id))
    if order == 7:
        time.sleep(3600)
    if order == 1:
        running[request.request_id] = 0
    elif order == 8:
        prompts[request.request_id] = 0
    elif order == 3:
        say("a last line")
        sys.exit(7)
    elif order == 4:
        send(peer, refusal(request.request_id, Overloaded()))
    else:
        if order == 5:
            peer.sendall(frame(b"\xc1garbage"))
        if order == 6:
            explanations = [explanation(f"old{i}") for i in range(1099)] + [explanation(request.request_id)]
            send(peer, Updates([], explanations))
        updates = [EngineUpdate(request_id=request.request_id, token_ids=[i]) for i in range(request.max_tokens - 1)]
        last = EngineUpdate(
            request_id=request.request_id, token_ids=[request.max_tokens - 1], finish_reason=FinishReason.LENGTH
        )
        for update in (*updates, last):
            send(peer, Updates([update]))
        send(peer, Report(EngineStats(num_steps=request.max_tokens)))


def explanation(request_id: str) -> CacheExplanation:
    return CacheExplanation(
        request_id=request_id,
        num_known_tokens=7,
        num_slot_tokens=0,
        num_ram_tokens=0,
        num_disk_tokens=0,
        num_used_tokens=0,
        reason="short",
    )


if __name__ == "__main__":
    main()
