"""The evaluation over HTTP: a running seekd takes every held-out prompt, and its answers are read as they are meant."""

from __future__ import annotations

from pathlib import Path

from training.data.conversation import Talk, user
from training.data.opendata import OpenData
from training.evaluate import cases
from training.served import ServedRunner

from seekd.testing import say, serve_script

PROMPTS = cases(OpenData(Path("nowhere")), 1, 4)


def test_every_held_out_prompt_is_accepted(tmp_path: Path) -> None:
    with serve_script(say("Hello there"), data_dir=tmp_path) as server:
        runner = ServedRunner(server.url)
        for case in PROMPTS:
            assert runner.write(case.talk).ended
        assert len(server.engine.requests) == len(PROMPTS)


def test_an_answer_is_read_as_the_server_splits_it(tmp_path: Path) -> None:
    with serve_script(say("Hello there"), data_dir=tmp_path) as server:
        out = ServedRunner(server.url).write(Talk(turns=[user("Hi")]))
    assert (out.reasoning, out.content, out.calls, out.ended) == ("", "Hello there", [], True)
