"""What a trained model says on each kind of kernels, judged by the same model in numpy: `make test-real`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seekd.engine.kernels import open_runtime
from seekd.engine.llama.vocabulary import open_vocabulary
from seekd.engine.schedule.plan import Chunk
from seekd.engine.schedule.sequence import Sequence
from seekd.engine.settings import EngineSettings, Kernels
from seekd.engine.types import EngineRequest
from tests.model.kernels import NEEDS_OPENVINO
from tests.model.reference_model import ReferenceModel, perplexity

PAGES = Path(__file__).resolve().parents[2] / "docs" / "how-to"
NUM_TOKENS = 2000

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How close logits are to the reference's.

    Attributes:
        perplexity: of the text.
        mean_error: of a logit.
        same_best: share of tokens behind which the same token is the most likely one.
    """

    perplexity: float
    mean_error: float
    same_best: float


def judged(logits: Logits, reference: Logits, token_ids: list[int]) -> Quality:
    return Quality(
        perplexity=perplexity(logits, token_ids),
        mean_error=float(np.abs(logits - reference).mean()),
        same_best=float((logits.argmax(axis=1) == reference.argmax(axis=1)).mean()),
    )


def logits_one_by_one(path: Path, token_ids: list[int], kernels: Kernels) -> Logits:
    settings = EngineSettings(kernels=kernels, context_length=NUM_TOKENS + 64, max_sequences=2)
    request = EngineRequest(request_id="text", prompt_token_ids=token_ids, max_tokens=1)
    sequence = Sequence(request=request, arrival=0, arrival_s=0, max_num_tokens=10**6, token_ids=token_ids, slot=0)
    rows = []
    with open_runtime(path, settings) as runtime:
        for start in range(len(token_ids)):
            assert runtime.model.run([Chunk(sequence=sequence, start=start, end=start + 1, wants_logits=True)])
            rows.append(runtime.model.borrowed_logits(0).copy())
    return np.array(rows)


@NEEDS_OPENVINO
def test_openvino_loses_less_than_llama_does(smollm2: Path) -> None:
    text = "\n".join(page.read_text() for page in sorted(PAGES.glob("*.md")))
    with open_vocabulary(smollm2) as vocabulary:
        token_ids = vocabulary.tokenize(text[: 8 * NUM_TOKENS])[:NUM_TOKENS]
    reference = ReferenceModel(smollm2).logits(token_ids)
    exact = judged(reference, reference, token_ids)
    llama, openvino = (
        judged(logits_one_by_one(smollm2, token_ids, kernels), reference, token_ids)
        for kernels in (Kernels.LLAMA, Kernels.OPENVINO)
    )
    assert openvino.perplexity < 1.005 * llama.perplexity  # measured: 40.44 and 40.74
    assert abs(openvino.perplexity / exact.perplexity - 1) < 0.001
    assert openvino.mean_error < llama.mean_error
    assert openvino.same_best > llama.same_best
