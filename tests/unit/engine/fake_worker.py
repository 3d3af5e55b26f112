"""A stand-in for the engine process that obeys its requests: the first prompt token says what to do.

0 count up, one token an update   1 count up slowly, for ever   2 die before accepting   3 exit with status 7
4 refuse: the queue is full       5 send garbage, then count up   6 explain 1,100 requests, then count up
7 hang
The model's path says how loading goes: "refuse", "die", "slow", "chatty" (a line of 100,000 characters first),
"stumble" (the second start is refused), anything else loads.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import msgspec
import zmq

from seekd.engine.messages import (
    Abort,
    Accepted,
    CacheExplanation,
    Loaded,
    Shutdown,
    Stats,
    Submit,
    ToEngine,
    Updates,
    decode_job,
    refusal,
)
from seekd.engine.types import EngineUpdate, FinishReason, ModelInfo
from seekd.errors import ConfigError, Overloaded

INFO = ModelInfo(
    name="fake", architecture="fake", context_length=100, vocab_size=10, size_bytes=0, metadata={}, fingerprint="f"
)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    job = decode_job(sys.stdin.buffer.readline())
    socket = zmq.Context().socket(zmq.PAIR)
    socket.connect(job.endpoint)
    say("INFO seekd.fake loading")
    how = Path(job.model_path).name
    directory = Path(job.endpoint.removeprefix("ipc://")).parent
    Path(job.model_path).with_suffix(".mode").write_text(oct(directory.stat().st_mode & 0o777))
    if how == "stumble":
        starts = Path(job.model_path).with_suffix(".starts")
        starts.write_text(starts.read_text() + "x" if starts.exists() else "x")
        if starts.read_text() == "xx":
            how = "refuse"
    if how == "refuse":
        socket.send(msgspec.msgpack.encode(refusal(None, ConfigError("The file is no good."))))
        socket.close(linger=1000)
        sys.exit(2)
    if how == "chatty":
        say("x" * 100_000)
    if how == "die":
        say("GGML_ASSERT failed")
        os.abort()
    if how == "slow":
        time.sleep(3600)
    socket.send(msgspec.msgpack.encode(Loaded(INFO)))
    serve(socket, Path(job.model_path))


def say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def serve(socket: zmq.Socket[bytes], model_path: Path) -> None:
    running: dict[str, int] = {}
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    poller.register(sys.stdin.fileno(), zmq.POLLIN)
    while True:
        events = dict(poller.poll(10))
        if sys.stdin.fileno() in events:
            return
        if socket in events:
            message = msgspec.msgpack.decode(socket.recv(), type=ToEngine)
            if isinstance(message, Shutdown):
                return
            if isinstance(message, Abort):
                running.pop(message.request_id, None)
                with model_path.with_suffix(".aborted").open("a") as file:
                    file.write(message.request_id + "\n")
            elif isinstance(message, Submit):
                submit(socket, message, running)
        for request_id in list(running):
            running[request_id] += 1
            socket.send(
                msgspec.msgpack.encode(Updates([EngineUpdate(request_id=request_id, token_ids=[running[request_id]])]))
            )


def submit(socket: zmq.Socket[bytes], message: Submit, running: dict[str, int]) -> None:
    request = message.request
    order = request.prompt_token_ids[0]
    if order == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    socket.send(msgspec.msgpack.encode(Accepted(request.request_id)))
    if order == 7:
        time.sleep(3600)
    if order == 1:
        running[request.request_id] = 0
    elif order == 3:
        say("a last line")
        context = socket.context
        socket.close(linger=1000)
        context.term()  # waits until what was sent is gone
        sys.exit(7)
    elif order == 4:
        socket.send(msgspec.msgpack.encode(refusal(request.request_id, Overloaded())))
    else:
        if order == 5:
            socket.send(b"\xc1garbage")
        if order == 6:
            explanations = [explanation(f"old{i}") for i in range(1099)] + [explanation(request.request_id)]
            socket.send(msgspec.msgpack.encode(Updates([], explanations)))
        updates = [EngineUpdate(request_id=request.request_id, token_ids=[i]) for i in range(request.max_tokens - 1)]
        last = EngineUpdate(
            request_id=request.request_id, token_ids=[request.max_tokens - 1], finish_reason=FinishReason.LENGTH
        )
        for update in (*updates, last):
            socket.send(msgspec.msgpack.encode(Updates([update])))
        socket.send(msgspec.msgpack.encode(Stats(num_steps=request.max_tokens)))


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
