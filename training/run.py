"""One command from nothing to the model file: tokenizer, training, export."""

from __future__ import annotations

import argparse
import itertools
import random
from collections import Counter
from pathlib import Path

from tokenizers import Tokenizer

from training import tokenizer as bpe
from training.data.conversation import segments
from training.data.mix import Mixture
from training.data.opendata import OpenData
from training.import_gguf import load_state, load_tokenizer
from training.model import ModelConfig
from training.train import TrainConfig, train

_REPEAT = 20  # the tools header repeats in every tool conversation; it should not rule the merges


def tokenizer_texts(mixture: Mixture, data: OpenData, seed: int, count: int) -> list[str]:
    """Plain texts of generated conversations and of the open sets, for the merges."""
    seen: Counter[str] = Counter(
        t for talk in mixture.talks(seed, count) for t, special, _ in segments(talk) if not special
    )
    texts = [t for t, n in seen.items() for _ in range(min(n, _REPEAT))]
    texts += [r["definition"][0] for r in itertools.islice(data.lines("wordnet"), 0, None, 20)]
    texts += [r["question"] for r in itertools.islice(data.lines("gsm8k"), 1500)]
    texts += [r["text"] for r in itertools.islice(data.lines("clinc"), 0, None, 4)]
    texts += [r["prompt"]["text"] for r in data.lines("oasst_trees")]
    random.Random(seed).shuffle(texts)
    return texts


def main() -> None:
    """Train the bundled model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=100)
    parser.add_argument("--data-dir", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work-dir", type=Path, default=Path("build/training"))
    parser.add_argument("--out", type=Path, default=Path("src/seekd/models/bundled/seekd-demo.gguf"))
    parser.add_argument("--vocab", type=int, default=6144)
    parser.add_argument("--workers", type=int, default=2, help="processes that share each step")
    parser.add_argument("--start", type=Path, help="model file of a finished run to go on from")
    parser.add_argument("--learn-tokenizer", action="store_true", help="do not take the tokenizer of that file")
    parser.add_argument("--rate", type=float, default=0.02, help="highest learning rate of the matrices")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.work_dir.mkdir(parents=True, exist_ok=True)
    data = OpenData(args.data_dir)
    mixture = Mixture(data)
    path = args.work_dir / "tokenizer.json"
    if args.start and not args.learn_tokenizer and not path.exists():
        load_tokenizer(args.start).save(str(path))
    if not path.exists():
        bpe.train(tokenizer_texts(mixture, data, args.seed, 8000), args.vocab).save(str(path))
    codec = bpe.Codec(path)
    config = ModelConfig(vocab=args.vocab)
    tokenizer = Tokenizer.from_file(str(path)) if args.learn_tokenizer else None
    settings = TrainConfig(
        minutes=args.minutes,
        workers=args.workers,
        seed=args.seed,
        muon_rate=args.rate,
        adam_rate=args.rate / 10,
        compile=args.compile,
        start=load_state(args.start, config, tokenizer) if args.start else None,
    )
    checkpoint = train(config, settings, codec, mixture, args.work_dir)
    from training.export_gguf import export

    export(checkpoint, path, args.out)


if __name__ == "__main__":
    main()
