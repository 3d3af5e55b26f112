"""The recipe's own tests: run with `python -m pytest training/tests`; they need the packages of training/requirements.txt."""

from __future__ import annotations

import dataclasses
import itertools
import multiprocessing
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from llama_cpp import Llama
from training import tokenizer as bpe
from training.batches import LENGTHS, batches
from training.data import copybook, maths, stories, tools, words
from training.data.conversation import EOS, THINK_END, USER, Talk, bot, segments, system, user
from training.data.kits_invented import wild
from training.data.mix import Mixture
from training.data.opendata import OpenData
from training.evaluate import HEROES
from training.export_gguf import write
from training.export_hf import export as export_hf
from training.import_gguf import load_state, load_tokenizer
from training.model import DemoModel, ModelConfig
from training.optim import Muon
from training.train import TrainConfig, _Run

NO_DATA = OpenData(Path("nowhere"))
MIXTURE = Mixture(NO_DATA)


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> tuple[bpe.Codec, Path]:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    texts = [t for talk in MIXTURE.talks(1, 150) for t, special, _ in segments(talk) if not special]
    bpe.train(texts, 700).save(str(path))
    return bpe.Codec(path), path


def test_same_seed_gives_same_conversations() -> None:
    first, again, other = ([segments(t) for t in MIXTURE.talks(seed, 60)] for seed in (3, 3, 4))
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
    text = " ".join(t for talk in MIXTURE.talks(5, 400) for t, _, _ in segments(talk))
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


def test_a_row_is_one_conversation_and_padding(codec: tuple[bpe.Codec, Path]) -> None:
    coder, _ = codec
    wanted = {tuple(d) for d, _ in coder.encode_all([segments(t) for t in MIXTURE.talks(1, 3000)])}
    for batch in itertools.islice(batches(MIXTURE, coder, seed=1, tokens=512), 20):
        assert batch.ids.shape[1] in LENGTHS
        rows = [[i for i in row if i != bpe.PAD] for row in batch.ids.tolist()]
        assert all(tuple(row) in wanted for row in rows)
        assert batch.tokens == sum(len(row) for row in rows)


def test_processes_take_different_rows_of_one_length(codec: tuple[bpe.Codec, Path]) -> None:
    parts = [batches(MIXTURE, codec[0], seed=1, tokens=512, part=(i, 2)) for i in (0, 1)]
    for first, second in itertools.islice(zip(*parts, strict=True), 20):
        assert first.ids.shape == second.ids.shape
        assert not torch.equal(first.ids, second.ids)


def test_targets_are_the_tokens_that_carry_loss(codec: tuple[bpe.Codec, Path]) -> None:
    batch = next(batches(MIXTURE, codec[0], seed=1, tokens=512))
    flat = batch.ids.flatten()
    assert torch.equal(flat[batch.where + 1], batch.targets)
    assert bpe.PAD not in batch.targets
    assert bpe.BOS not in batch.targets


def test_the_beginning_is_copybook_alone() -> None:
    assert {t.kind for t in MIXTURE.talks(1, 50, beginning=True)} == {"copybook_short"}
    assert len({t.kind for t in MIXTURE.talks(1, 200)}) > 15


def test_every_loss_of_a_copybook_page_stands_before() -> None:
    rng, pages = random.Random(4), copybook.Copybook(NO_DATA)
    for _ in range(200):
        seen = ""
        for text, special, loss in segments(rng.choice((pages.short, pages.long))(rng)):
            if not special and loss:
                assert re.sub(r"[\n;,. \")/<]+$", "", text) in seen
            seen += text


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
    ids = coder.encode(segments(next(MIXTURE.talks(8, 1))))[:120]
    with torch.no_grad():
        ours = model(torch.tensor([ids]))[0].numpy()
    llama.eval(ids)
    theirs = llama.scores[: len(ids)]
    assert np.array_equal(ours.argmax(-1), theirs.argmax(-1))
    assert np.abs(ours - theirs).max() < 5e-3


def test_lines_of_a_page_of_sums_are_true() -> None:
    rng = random.Random(4)
    text = "".join(t for _ in range(40) for t, special, _ in segments(maths.page(rng)) if not special)
    sums = re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)", text)
    assert len(sums) > 400
    assert all({"+": a + b, "-": a - b, "*": a * b, "/": a // max(b, 1)}[op] == r for a, op, b, r in _numbers(sums))


def _numbers(sums: list[tuple[str, str, str, str]]) -> list[tuple[int, str, int, int]]:
    return [(int(a), op, int(b), int(r)) for a, op, b, r in sums]


def test_no_story_is_asked_about_a_hero_of_the_evaluation() -> None:
    rng = random.Random(8)
    asked = {stories._hero(rng) for _ in range(20_000)}  # noqa: SLF001 - the heroes alone, without their stories
    assert len(asked) > 1000
    assert [h for h in asked if set(HEROES) & set(re.split(r"'s | ", h))] == []


def test_friends_of_stories_never_bear_the_name_of_the_hero() -> None:
    rng = random.Random(5)
    for name in (None, stories._FRIEND_NAMES[0]):  # noqa: SLF001 - a hero may be asked for under a friend's name
        for _ in range(200):
            text = stories.story(rng, "frog", name)
            assert len({n for n in words.TRAIN_FIRST if re.search(rf"\b{n}\b", text)}) == 2


def _tiny(vocab: int) -> DemoModel:
    model = DemoModel(ModelConfig(vocab=vocab, width=64, layers=2, ff=96, q_rank=32, kv_rank=32)).eval()
    with torch.no_grad():
        for p in model.parameters():  # some layers begin as nothing
            p.add_(torch.randn_like(p) * 0.1)
    return model


def test_a_run_starts_with_the_weights_and_the_tokenizer_of_a_model_file(
    codec: tuple[bpe.Codec, Path], tmp_path: Path
) -> None:
    first = _tiny(codec[0].size)
    write(first, codec[1], tmp_path / "first.gguf", f32=True)
    start = load_state(tmp_path / "first.gguf", first.c)
    second = _Run(first.c, TrainConfig(minutes=1, start=start), tmp_path)
    assert second.step == 0
    for name, value in first.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], value), name
    with pytest.raises(ValueError, match="start from a file of the same sizes"):
        load_state(tmp_path / "first.gguf", dataclasses.replace(first.c, ff=32))
    load_tokenizer(tmp_path / "first.gguf").save(str(tmp_path / "tokenizer.json"))
    again = bpe.Codec(tmp_path / "tokenizer.json")
    for talk in MIXTURE.talks(2, 40):
        assert again.encode(segments(talk)) == codec[0].encode(segments(talk))


def test_a_run_with_another_tokenizer_keeps_the_rows_of_tokens_that_both_have(
    codec: tuple[bpe.Codec, Path], tmp_path: Path
) -> None:
    first = _tiny(codec[0].size)
    write(first, codec[1], tmp_path / "first.gguf", f32=True)
    old = load_tokenizer(tmp_path / "first.gguf")
    other = bpe.train([t for talk in MIXTURE.talks(9, 100) for t, special, _ in segments(talk) if not special], 700)
    config = dataclasses.replace(first.c, vocab=other.get_vocab_size())
    table = load_state(tmp_path / "first.gguf", config, other)["embed.weight"]
    was, now = old.get_vocab(), other.get_vocab()
    assert set(now) - set(was)
    for token in set(was) & set(now):
        if "Ġ" + token in now or "Ġ" + token not in was:
            assert torch.equal(table[now[token]], first.embed.weight[was[token]]), token


def test_a_word_that_loses_the_token_with_its_space_gets_the_mean_of_both(tmp_path: Path) -> None:
    old = bpe.train(["the words the"] * 9, 700)
    first = _tiny(old.get_vocab_size())
    old.save(str(tmp_path / "tokenizer.json"))
    write(first, tmp_path / "tokenizer.json", tmp_path / "first.gguf", f32=True)
    was = old.get_vocab()
    assert {"the", "Ġthe"} <= set(was)
    words_with_it = "them then theory these"  # `the` begins other words here, and loses its space
    other = bpe.train([*["the words"] * 9, *[words_with_it] * 9], 700)
    now = other.get_vocab()
    assert "the" in now
    assert "Ġthe" not in now
    config = dataclasses.replace(first.c, vocab=other.get_vocab_size())
    row = load_state(tmp_path / "first.gguf", config, other)["embed.weight"][now["the"]]
    mean = first.embed.weight[[was["the"], was["Ġthe"]]].mean(0)
    assert torch.nn.functional.cosine_similarity(row, mean, dim=0) > 0.9999


def test_frequent_words_are_one_token_with_their_space(codec: tuple[bpe.Codec, Path]) -> None:
    for word in ("the", "is", "weather"):
        assert len(codec[0].encode([(f" {word}", False, False)])) == 1


def test_rare_words_have_the_same_tokens_wherever_they_stand(codec: tuple[bpe.Codec, Path]) -> None:
    for name in ("Paris", "Oklahoma", "Beatrice", "Zorvaiton", "flamingo", "knitting"):
        alone = codec[0].encode([(name, False, False)])
        for before, behind in ((" ", "?"), ('"', '"'), (">", "</"), ("(", ")"), ("\n", "\n")):
            ids = codec[0].encode([(f"in{before}{name}{behind}", False, False)])
            assert any(ids[i : i + len(alone)] == alone for i in range(len(ids))), (before, name)


def test_what_an_invented_tool_is_called_with_stands_in_the_message_and_its_names_in_the_declaration() -> None:
    rng = random.Random(6)
    for _ in range(300):
        kit = wild(rng)
        use = kit.make(rng)
        assert all(str(value) in use.say for value in use.args.values())
        assert list(use.args) == list(kit.spec["parameters"]["properties"])


def test_a_page_of_calls_holds_the_declarations_and_no_fixed_text() -> None:
    rng = random.Random(7)
    for _ in range(50):
        parts = segments(tools.page(tools.tool_talk(rng)))
        header = "".join(text for text, _, _ in parts[: next(i for i, p in enumerate(parts) if p[0] == USER)])
        assert header.startswith('<｜begin▁of▁sentence｜><｜System｜>{"name": ')
        assert "You MUST" not in header
        assert parts[-1] == (EOS, True, True)


def test_hugging_face_files_are_the_same_model(codec: tuple[bpe.Codec, Path], tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="needs the packages of training/requirements.txt")
    model = _tiny(codec[0].size)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.bfloat16())
    write(model, codec[1], tmp_path / "model.gguf", f32=True)
    export_hf(tmp_path / "model.gguf", tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    ids = torch.randint(20, codec[0].size, (2, 50))
    with torch.no_grad():
        ours, found = model(ids), theirs(ids).logits
    assert (ours - found).abs().max() < 0.02 * ours.abs().max()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert text == "<｜begin▁of▁sentence｜><｜User｜>Hi<｜Assistant｜></think>"


_TRAIN = """
import sys
from pathlib import Path
from training.data.mix import Mixture
from training.data.opendata import OpenData
from training.model import ModelConfig
from training.tokenizer import Codec
from training.train import TrainConfig, train
folder, minutes = Path(sys.argv[1]), float(sys.argv[2])
codec = Codec(folder / "tokenizer.json")
config = ModelConfig(vocab=codec.size, width=64, layers=3, ff=96, q_rank=32, kv_rank=32)
settings = TrainConfig(minutes=minutes, tokens=512, beginning=0, compile=False)
train(config, settings, codec, Mixture(OpenData(Path("nowhere"))), folder)
"""


def test_a_run_of_two_processes_stops_at_a_signal_and_the_same_command_continues(
    codec: tuple[bpe.Codec, Path], tmp_path: Path
) -> None:
    shutil.copy(codec[1], tmp_path / "tokenizer.json")
    command = [sys.executable, "-c", _TRAIN, str(tmp_path)]
    with subprocess.Popen([*command, "5"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline().startswith("step 50 ")
        run.terminate()
        _, errors = run.communicate(timeout=60)
    assert "the same command continues" in errors
    stopped = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert stopped["step"] >= 50
    minutes = (stopped["spent"] + 1) / 60
    subprocess.run([*command, str(minutes)], check=True, timeout=120)
    ended = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert ended["step"] > stopped["step"]
    assert ended["spent"] >= minutes * 60


def _step(rank: int, workers: int, folder: Path) -> None:
    """One step of the optimizer for a few matrices, whose result is written down."""
    torch.set_num_threads(1)
    if workers > 1:
        dist.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=workers)
    torch.manual_seed(0)
    matrices = [torch.nn.Parameter(torch.randn(*shape)) for shape in [(64, 32)] * 3 + [(32, 96)]]
    for p in matrices:
        p.grad = torch.randn_like(p)
    Muon(matrices, 0.02).step()
    torch.save([p.detach() for p in matrices], folder / f"{workers}-{rank}.pt")
    if workers > 1:
        dist.destroy_process_group()


def test_processes_that_share_the_optimizer_step_get_the_matrices_of_one(tmp_path: Path) -> None:
    _step(0, 1, tmp_path)
    helpers = [multiprocessing.get_context("spawn").Process(target=_step, args=(r, 2, tmp_path)) for r in (0, 1)]
    for helper in helpers:
        helper.start()
    for helper in helpers:
        helper.join(120)
    alone, *shared = [torch.load(tmp_path / f"{name}.pt") for name in ("1-0", "2-0", "2-1")]
    for matrices in shared:
        assert all(torch.equal(a, b) for a, b in zip(alone, matrices, strict=True))
