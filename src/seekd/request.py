"""A request as wire and service speak of it, whatever protocol it came in by.

body --wire--> GenerationRequest --service--> prompt token ids --engine--> token ids
     --OutputParser--> OutputChunk --wire--> bytes
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field

from seekd.engine.types import Sampling
from seekd.output_rule import OutputRule
from seekd.prompt.types import ParsedBody


class LongConversation(enum.StrEnum):
    """What becomes of a conversation that leaves no room for its answer."""

    REFUSE = "refuse"
    DROP = "drop"
    SUMMARISE = "summarise"


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One request, validated, independent of the protocol it came by.

    Attributes:
        model: the name that the answer carries.
        requested_model: the name as the caller wrote it, for a router to look at.
        served_model: the name that it stands for, or that a router chose: access, price, limits, caches, guard and
            books go by it and by no other.
        stream: whether the caller wants events.
        thinking: whether the model reasons before it answers.
        max_tokens: completion limit asked for; None when the body set none.
        default_max_tokens: what an unset `max_tokens` becomes.
        lower_max_tokens: whether a limit above the room left is lowered to it instead of refused.
        sampling: as asked for; the model's own mapping of the temperature comes later.
        cache_hit_unit: cached prompt tokens are told and charged in multiples of this.
        user_id: the caller's own name for its user; isolates caches.
        rule: what the output must keep to; None for free text.
        body: renders the prompt and opens the parser.
        max_prompt_tokens: more are refused; None for what the model's context holds.
        unbroken: texts that an event of the answer has whole or not at all.
        must_be_judged: the caller wants its texts and the answer judged, whatever the settings say.
        long_conversation: what becomes of one that does not fit; None for the rule of the account or the model.
    """

    model: str
    requested_model: str
    served_model: str
    stream: bool
    thinking: bool
    body: ParsedBody
    max_tokens: int | None = None
    default_max_tokens: int = 4096
    lower_max_tokens: bool = True
    sampling: Sampling = field(default_factory=Sampling)
    cache_hit_unit: int = 1
    user_id: str | None = None
    rule: OutputRule | None = None
    max_prompt_tokens: int | None = None
    unbroken: Sequence[str] = ()
    must_be_judged: bool = False
    long_conversation: LongConversation | None = None
