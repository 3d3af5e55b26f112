"""Generation from a model file with llama.cpp, for evaluation only."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from llama_cpp import Llama

from training.data.conversation import Talk, prompt_segments
from training.tokenizer import EOS, SPECIALS, USER_DEFINED


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What the model wrote, split as the server would split it."""

    reasoning: str
    content: str
    calls: list[tuple[str, str]]
    ended: bool


class Runner:
    """A loaded model file."""

    def __init__(self, path: Path, threads: int = 1, context: int = 4096) -> None:
        self._llama = Llama(str(path), n_ctx=context, n_threads=threads, n_threads_batch=threads, verbose=False)
        self._special = {t: i for i, t in enumerate(SPECIALS)}

    def tokens(self, segments: list[tuple[str, bool, bool]]) -> list[int]:
        """Ids of a prompt; control spellings inside plain text are cut apart."""
        ids: list[int] = []
        for text, special, _ in segments:
            if special:
                ids.append(self._special[text])
                continue
            if any(t in text for t in USER_DEFINED):
                raise ValueError("control spelling in plain text")
            ids += self._llama.tokenize(text.encode(), add_bos=False, special=False)
        return ids

    def write(self, talk: Talk, *, temperature: float = 0.0, seed: int = 0, limit: int = 320) -> Output:
        """Answer the last turn of a conversation."""
        prompt = self.tokens(prompt_segments(talk))
        ids, ended = self.complete(prompt, temperature=temperature, seed=seed, limit=limit)
        return self._split(ids, ended, thinking=talk.thinking)

    def complete(
        self, prompt: list[int], *, temperature: float = 0.0, seed: int = 0, limit: int = 320
    ) -> tuple[list[int], bool]:
        """Continue ids until the end token."""
        self._llama.set_seed(seed)
        out: list[int] = []
        for token in self._llama.generate(prompt, temp=temperature, top_k=0, top_p=1.0, min_p=0.0, repeat_penalty=1.0):
            if token == EOS:
                return out, True
            out.append(token)
            if len(out) >= limit:
                break
        return out, False

    def text(self, ids: list[int]) -> str:
        """Text of ids with visible user-defined tokens."""
        parts, run = [], []
        for i in [*ids, -1]:
            if 0 <= i < len(SPECIALS) or i == -1:
                parts.append(self._llama.detokenize(run).decode("utf-8", "replace") if run else "")
                parts.append(SPECIALS[i] if i >= 0 else "")
                run = []
            else:
                run.append(i)
        return "".join(parts)

    def _split(self, ids: list[int], ended: bool, *, thinking: bool) -> Output:
        text, reasoning = self.text(ids), ""
        if thinking:
            reasoning, mark, text = text.partition("</think>")
            if not mark:
                return Output(reasoning=reasoning, content="", calls=[], ended=ended)
        content, mark, block = text.partition("\n\n<｜DSML｜ calls>\n")
        calls = parse_calls(block) if mark else []
        return Output(reasoning=reasoning, content=content, calls=calls, ended=ended)


def parse_calls(block: str) -> list[tuple[str, str]]:
    """Name and arguments text of every complete call; the arguments are assembled as the official parser does."""
    out = []
    for name, body in re.findall(r'<｜DSML｜ invoke name="([^"]*)">\n(.*?)</｜DSML｜ invoke>', block, re.S):
        pairs = re.findall(
            r'<｜DSML｜ parameter name="([^"]*)" string="(true|false)">(.*?)</｜DSML｜ parameter>', body, re.S
        )
        out.append(
            (
                name,
                "{"
                + ", ".join(
                    f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False) if s == 'true' else v}" for k, s, v in pairs
                )
                + "}",
            )
        )
    return out
