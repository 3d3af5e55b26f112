"""Small corrections of the JSON that the protocol package writes.

The package stamps `created` itself and reports reasoning tokens only with a tokenizer, so both are written over in its
text: parsing and writing every chunk again would cost more than the package's own work. A name with its quotes and
colon can only be a key there, since quotes inside strings are escaped; what a caller's own objects may hold (schemas of
tools, echoed by Responses) lies behind `created` and before `usage`.
"""

from __future__ import annotations

import re

_CREATED = re.compile(r'"created":\d+')
_CREATED_AT = re.compile(r'"created_at":\d+')
_CHAT_DETAILS = re.compile(r'"completion_tokens_details":\{"reasoning_tokens":\d+\},')
_CHAT_ANCHOR = ',"prompt_cache_hit_tokens":'
_RESPONSES_DETAILS = re.compile(r'"output_tokens_details":\{"reasoning_tokens":\d+\}')
_RESPONSES_ANCHOR = '"output_tokens_details":{"reasoning_tokens":'


def set_created(text: str, created_s: int) -> str:
    """Chat Completions: write `created` of a chunk."""
    return _CREATED.sub(f'"created":{created_s}', text, count=1)


def set_created_at(text: str, created_s: int) -> str:
    """Responses: write `created_at` of an event that holds the response object; other events have none."""
    if not text.startswith(('{"type":"response.', '{"id":')) or '"object":"response"' not in text[:400]:
        return text
    return _CREATED_AT.sub(f'"created_at":{created_s}', text, count=1)


def set_chat_reasoning_tokens(text: str, num_tokens: int) -> str:
    """Chat Completions: write `completion_tokens_details` where there is usage, placed as the service does."""
    before, anchor, after = text.rpartition(_CHAT_ANCHOR)
    if not anchor:
        return text
    before = _CHAT_DETAILS.sub("", before + ",").removesuffix(",")
    return f'{before},"completion_tokens_details":{{"reasoning_tokens":{num_tokens}}}{anchor}{after}'


def set_responses_reasoning_tokens(text: str, num_tokens: int) -> str:
    """Responses: write `output_tokens_details` where there is usage."""
    position = text.rfind(_RESPONSES_ANCHOR)
    if position < 0:
        return text
    details = f'"output_tokens_details":{{"reasoning_tokens":{num_tokens}}}'
    return text[:position] + _RESPONSES_DETAILS.sub(details, text[position:], count=1)
