"""Where a conversation that is too long is cut.

Pure: sizes in, indices out.

    s  u a u a u t a u          a turn begins at a user's message that follows an answer, and ends before the next one
       │   │   │     │
       └───┴───┴─────┴── may be cut here; the last turn is never cut, and system messages are never left out

The cut depends on the messages alone, and it is found by living through the conversation again: at every point where a
request was made, what did not fit then was cut so that half of the room was free. So the next request, which brings the
same messages and two more, finds the same cut until the room is full again; what was computed for it can be used again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from seekd.prompt.render.conversation import Message

MESSAGE_TOKENS = 8
"""More than the markers around a message take in any of the families."""

CALL_TOKENS = 32
"""What the markup around a call and its parameters takes, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a prompt may hold, in tokens.

    Attributes:
        whole: of a prompt that leaves out nothing.
        shortened: of one that leaves out something and has a note about it.
    """

    whole: int
    shortened: int


def message_texts(messages: Sequence[Message]) -> Iterator[str]:
    """What `message_sizes` counts."""
    return (_text(message) for message in messages if message.role != "system")


def message_sizes(messages: Sequence[Message], count: Callable[[str], int]) -> list[int]:
    """Tokens that each message takes, rather too many than too few; 0 for system messages, which are always there.

    Args:
        messages: of the conversation.
        count: tokens of a text.
    """
    return [0 if message.role == "system" else _size(message, count) for message in messages]


def turn_starts(messages: Sequence[Message]) -> list[int]:
    """The indices at which a turn begins; what stands before the first of them belongs to it."""
    starts = []
    before = "assistant"
    for index, message in enumerate(messages):
        if message.role == "user" and before == "assistant":
            starts.append(index)
        if message.role != "system":
            before = message.role
    return starts


def find_cuts(messages: Sequence[Message], sizes: Sequence[int], room: Room) -> list[int]:
    """Where the conversation was cut as it grew, oldest first; empty where it always fitted.

    Args:
        messages: of the conversation.
        sizes: tokens of each of them.
        room: for them, without what every prompt holds.

    Returns:
        Indices of messages that begin a turn, ascending. A prompt leaves out all but system messages before the last.
    """
    total = [0, *accumulate(sizes)]
    starts = turn_starts(messages)[1:]
    cuts: list[int] = []
    start = 0
    for end in _request_ends(messages):
        if total[end] - total[start] <= (room.shortened if cuts else room.whole):
            continue
        candidates = starts[bisect_left(starts, start + 1) : bisect_left(starts, end)]
        if candidates:
            goal = total[end] - room.shortened // 2
            start = next((candidate for candidate in candidates if total[candidate] >= goal), candidates[-1])
            cuts.append(start)
    return cuts


def split_parts(messages: Sequence[Message], sizes: Sequence[int], cuts: Sequence[int], room: int) -> list[int] | None:
    """Cut what lies before each cut into parts that one request can read.

    Args:
        messages: of the conversation.
        sizes: tokens of each of them.
        cuts: see `find_cuts`.
        room: tokens that a part may have.

    Returns:
        Ends of the parts, ascending; every cut is one of them. A call and its results are in one part. None where a
        single message, or a call with its results, is larger than the room.
    """
    total = [0, *accumulate(sizes)]
    ends: list[int] = []
    for start, cut in pairwise([0, *cuts]):
        borders = [index for index in range(start + 1, cut) if messages[index].role != "tool"]
        begin = start
        for border, following in pairwise([start, *borders, cut]):
            if total[following] - total[border] > room:
                return None
            if total[following] - total[begin] > room:
                ends.append(border)
                begin = border
        ends.append(cut)
    return ends


def _request_ends(messages: Sequence[Message]) -> list[int]:
    """Behind which messages a request was or is made: the last of a run of users' messages and results, and the end."""
    asks = [message.role in ("user", "tool") for message in messages]
    ends = [index + 1 for index, (here, after) in enumerate(pairwise(asks)) if here and not after]
    return [*ends, len(messages)]


def _size(message: Message, count: Callable[[str], int]) -> int:
    return count(_text(message)) + MESSAGE_TOKENS + CALL_TOKENS * len(message.calls)


def _text(message: Message) -> str:
    texts = [message.content, message.reasoning or ""]
    texts += [text for call in message.calls for text in (call.name, call.arguments)]
    return "\n".join(texts)
