"""A model's file says which chat layout it was made for. Templates are abridged to what the rules look at."""

import pytest

from seekd.models.detection import detect_format

SEP = "<｜User｜> <｜tool▁sep｜>"


@pytest.mark.parametrize(
    ("template", "architecture", "expected"),
    [
        ("", "deepseek4", "deepseek-v4"),
        ("... dsml_token ... tool_calls", "x", "deepseek-v4"),
        ("<｜System｜> ... <｜DSML｜ calls>", "x", "deepseek-v4.1"),
        ("", "deepseek41", "deepseek-v4.1"),
        ("set dsml_token = '｜DSML｜' function_calls", "deepseek2", "deepseek-v3.2"),
        ("", "deepseek32", "deepseek-v3.2"),
        (SEP, "deepseek32", "deepseek-v3.1"),  # V3.2-Exp
        (SEP + "'</think>' thinking <think>", "deepseek2", "deepseek-v3.1"),
        (SEP + "```json", "deepseek2", "deepseek-v3"),
        (SEP + "```json </think> <｜Assistant｜><think>", "deepseek2", "deepseek-r1"),
        (SEP + "```json split('</think>')[-1] <｜Assistant｜><think>", "qwen2", "deepseek-r1"),
        (SEP + "```json split('</think>')[-1]", "qwen3", "deepseek-r1-0528"),
        ("<｜User｜> <｜Assistant｜>", "deepseek2", "deepseek-v3"),
        ("<|im_start|>", "qwen2", "template"),
        ("User: {{ content }} Assistant:", "deepseek2", "template"),
        ("", "llama", "completion"),
    ],
)
def test_the_layout_of_a_file(template: str, architecture: str, expected: str) -> None:
    assert detect_format({"tokenizer.chat_template": template}, architecture) == expected


@pytest.mark.parametrize("fact", [{"general.name": "DeepSeek V2.5 1210"}, {"deepseek2.vocab_size": "102400"}])
def test_v25_is_told_from_v3_by_its_name_or_its_vocabulary(fact: dict[str, str]) -> None:
    metadata = {"tokenizer.chat_template": SEP + "```json", **fact}
    assert detect_format(metadata, "deepseek2") == "deepseek-v2.5"


@pytest.mark.parametrize("key", ["general.name", "general.basename", "general.finetune"])
@pytest.mark.parametrize("template", ["", "set dsml_token = '｜DSML｜' function_calls"])
def test_speciale_is_told_from_v32_by_its_name(key: str, template: str) -> None:
    metadata = {"tokenizer.chat_template": template, key: "DeepSeek-V3.2-Speciale"}
    assert detect_format(metadata, "deepseek32") == "deepseek-v3.2-speciale"
    assert detect_format({**metadata, key: "DeepSeek-V3.2"}, "deepseek32") == "deepseek-v3.2"
    assert detect_format({**metadata, "tokenizer.chat_template": SEP}, "deepseek2") == "deepseek-v3.1"


def test_what_a_file_declares_wins() -> None:
    metadata = {"tokenizer.chat_template": SEP, "seekd.prompt_format": "deepseek-v3.2"}
    assert detect_format(metadata, "deepseek4") == "deepseek-v3.2"
    assert detect_format({**metadata, "seekd.prompt_format": "other"}, "x") == "deepseek-v3.1"
