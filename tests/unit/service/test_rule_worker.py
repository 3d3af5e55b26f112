from __future__ import annotations

import signal
import subprocess

import msgspec
import pytest

from seekd.engine.link.frames import FrameReader, frame
from seekd.output_rule import OutputRule
from seekd.service.constraints import WORKER
from seekd.service.rule_worker import RuleAnswer, RuleJob

LIMIT_S = 60


def job(rule: OutputRule, *, cpu_limit_s: float = 30.0) -> bytes:
    one = RuleJob(
        rule=rule,
        call_syntax="deepseek-v4.1",
        starts_in_reasoning=False,
        may_reason=False,
        cpu_limit_s=cpu_limit_s,
    )
    return frame(msgspec.json.encode(one))


def answers(*jobs: bytes) -> tuple[list[RuleAnswer], int]:
    """What it says to these jobs, and its exit status."""
    done = subprocess.run(WORKER, input=b"".join(jobs), stdout=subprocess.PIPE, timeout=LIMIT_S, check=False)
    return [msgspec.json.decode(one, type=RuleAnswer) for one in FrameReader().feed(done.stdout)], done.returncode


def test_it_answers_one_rule_after_the_other_and_ends_with_its_input() -> None:
    (compiled, refused), status = answers(
        job(OutputRule(kind="json_object")), job(OutputRule(kind="json_schema", schema='{"not": {}}'))
    )
    assert status == 0
    assert compiled.compiled is not None
    assert "%json" in compiled.compiled.grammar
    assert refused == RuleAnswer(refusal=refused.refusal)
    assert "negation" in refused.refusal


def test_a_job_that_is_cut_ends_it() -> None:
    assert answers(frame(b"x")[:3]) == ([], 0)


@pytest.mark.fault("schema-without-end")
def test_the_system_ends_it_at_its_limit_of_processor_time() -> None:
    endless = OutputRule(kind="regex", schema=r"[^x](([^x]){0,30}){300}\w\w")
    assert answers(job(endless, cpu_limit_s=0.2)) == ([], -signal.SIGPROF)
