"""Keys and tokens, put together here so that no scanner of repositories takes them for real ones."""

import pytest

from tests.unit.guard.finds import finds

KEYS = [
    "sk-" + "0a1b2c3d" * 4,
    "sk-proj-" + "Ab1" * 16,
    "sk-ant-api03-" + "Zx9_" * 20,
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "11ABCDE_" * 8,
    "glpat-" + "x1Y2z" * 4,
    "AKIA" + "IOSFODNN7EXAMPLE",
    "AIza" + "Sy1_-" * 7,
    "xoxb-" + "1234567890-abcdefghij",
    "hf_" + "aB3" * 11,
    "npm_" + "a1B2" * 9,
    "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0In0" + ".SflKxwRJSMeKKF2QT4fwpMeJf36",
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("text", ["{}", "key={} ", 'export KEY="{}"', "it is {}.", "在{}里"])
def test_a_key_is_found_by_its_issuers_prefix(key: str, text: str) -> None:
    assert finds(text.format(key), "key") == [key]


def test_a_bearer_token_is_found_without_the_word() -> None:
    assert finds("Authorization: Bearer abcdef0123456789abcdef", "key") == ["abcdef0123456789abcdef"]


def test_a_block_with_a_private_key_is_found_whole_also_without_its_end() -> None:
    block = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----"
    assert finds(f"a\n{block}\nb", "key") == [block]
    assert finds(f"a\n{block[:50]}", "key") == [block[:50]]
    assert finds(f"{block}{block}\n{block[:50] * 3}", "key") == [block, block, block[:50] * 3]
    assert finds("-----BEGIN PUBLIC KEY-----\nMIIEow\n-----END PUBLIC KEY-----", "key") == []


@pytest.mark.parametrize(
    "text",
    [
        "risk-free task-oriented desk-0123456789012345678901234567",
        "sk-learn-compatible-estimators-and-more",
        "d6f3ad9a9b3c6a1f2e8b7c5d4e3f2a1b0c9d8e7f",
        "550e8400-e29b-41d4-a716-446655440000",
        "test_that_a_very_long_name_of_a_function_is_no_key",
        "the bearer of this long-lasting-good-message",
        "AKIA is a prefix, ghp_ too, and eyJ",
        "x" * 200,
    ],
)
def test_names_hashes_and_words_are_no_keys(text: str) -> None:
    assert finds(text, "key") == []
