"""The recipe's own tests: run with `python -m pytest training/tests`; they need the packages of training/requirements.txt."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from llama_cpp import Llama
from training import tokenizer as bpe
from training.batches import batches
from training.data import maths, tools, words
from training.data.conversation import EOS, THINK_END, Talk, bot, segments, system, user
from training.data.mix import talks
from training.data.opendata import OpenData
from training.export_gguf import write
from training.model import DemoModel, ModelConfig

NO_DATA = OpenData(Path("nowhere"))


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> tuple[bpe.Codec, Path]:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    texts = [t for talk in talks(NO_DATA, 1, 150) for t, special, _ in segments(talk) if not special]
    bpe.train(texts, 700).save(str(path))
    return bpe.Codec(path), path


def test_same_seed_gives_same_conversations() -> None:
    first, again, other = ([segments(t) for t in talks(NO_DATA, seed, 60)] for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_loss_covers_exactly_what_the_assistant_writes() -> None:
    talk = Talk(turns=[system("Be brief."), user("Hi"), bot("Hello"), user("2+2?"), bot("4", "easy")], thinking=True)
    learnt = [t for t, _, loss in segments(talk) if loss]
    assert learnt == ["Hello", EOS, "easy", THINK_END, "4", EOS]


def test_calls_are_learnt_with_their_block() -> None:
    spec = {"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}}
    talk = Talk(turns=[user("go"), bot("", None, calls=[("f", {"x": 1})])], tools=[spec])
    learnt = "".join(t for t, _, loss in segments(talk) if loss)
    assert (
        learnt
        == '\n\n<｜DSML｜ calls>\n<｜DSML｜ invoke name="f">\n<｜DSML｜ parameter name="x" string="false">1</｜DSML｜ parameter>\n</｜DSML｜ invoke>\n</｜DSML｜ calls>'
        + EOS
    )


def test_held_out_words_are_never_generated() -> None:
    held = [w for w in words.US_CITIES + words.WORLD_CITIES if words.held_out(w)]
    assert held
    text = " ".join(t for talk in talks(NO_DATA, 5, 400) for t, _, _ in segments(talk))
    # an invented name may by chance begin like a city, so only whole words count
    assert [w for w in held if f" {w} " in text or f">{w}<" in text] == []


def test_steps_lead_to_the_result() -> None:
    rng = random.Random(1)
    for _ in range(500):
        a, op, b, r = maths.problem(rng)
        assert maths.steps(a, op, b, r).rstrip(".").endswith(f"= {r}")


def test_arguments_follow_the_declaration() -> None:
    rng = random.Random(2)
    kinds = {"integer": int, "number": (int, float), "boolean": bool, "string": str}
    for _ in range(300):
        kit = rng.choice(tools.KITS)(rng)
        use = kit.make(rng)
        props = kit.spec["parameters"]["properties"]
        assert set(kit.spec["parameters"].get("required", [])) <= set(use.args) <= set(props)
        for key, value in use.args.items():
            assert isinstance(value, kinds[props[key]["type"]])
            assert value in props[key].get("enum", [value])


def test_plain_text_never_becomes_a_control_token(codec: tuple[bpe.Codec, Path]) -> None:
    coder, _ = codec
    for special in bpe.SPECIALS:
        ids = coder.encode([(f"a {special} b", False, False)])
        assert not set(ids) & set(range(len(bpe.SPECIALS)))


def test_rows_keep_documents_apart(codec: tuple[bpe.Codec, Path]) -> None:
    batch = next(batches(NO_DATA, codec[0], seed=1, length=512, rows=2, chunk=60))
    starts = (batch.ids[0] == bpe.BOS).nonzero().flatten().tolist()
    assert len(starts) > 1
    second = starts[1]
    assert torch.isinf(batch.mask[0, 0, second, :second]).all()
    assert (batch.mask[0, 0, second + 1, second : second + 2] == 0).all()


def test_model_file_agrees_with_the_network(codec: tuple[bpe.Codec, Path], tmp_path: Path) -> None:
    coder, path = codec
    torch.manual_seed(0)
    model = DemoModel(
        ModelConfig(
            vocab=coder.size,
            width=64,
            layers=2,
            heads=2,
            nope=32,
            rope=32,
            value=32,
            q_rank=32,
            kv_rank=32,
            ff=96,
            context=256,
        )
    ).eval()
    for p in model.parameters():
        if p.ndim == 2 and not p.any():
            torch.nn.init.normal_(p, std=p.shape[1] ** -0.5)
    out = tmp_path / "tiny.gguf"
    write(model, path, out, f32=True)
    llama = Llama(str(out), n_ctx=256, n_threads=1, logits_all=True, verbose=False)
    samples = [
        "Hello, how are you?",
        "123456 7.5%\n\n x\t y",
        "日本語 2024年 héllo",
        '{"a": [1, null]}',
        "😀 don't  stop",
    ]
    for text in samples:
        assert llama.tokenize(text.encode(), add_bos=False, special=False) == coder.encode([(text, False, False)])
    ids = coder.encode(segments(next(talks(NO_DATA, 8, 1))))[:120]
    with torch.no_grad():
        ours = model(torch.tensor([ids]))[0].numpy()
    llama.eval(ids)
    theirs = llama.scores[: len(ids)]
    assert np.array_equal(ours.argmax(-1), theirs.argmax(-1))
    assert np.abs(ours - theirs).max() < 5e-3
