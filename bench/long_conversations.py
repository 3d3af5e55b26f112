"""What cutting a long conversation costs: prompt tokens computed and summaries made over a whole conversation.

    python bench/long_conversations.py

No model: prompts are counted, and a prefix cache is taken to hold all of the prompt before. Compared are seekd's cuts,
which free half of the room and stay until it is full again, and dropping as many turns as needed each time.
"""

from __future__ import annotations

from collections.abc import Callable

from seekd.prompt.render.conversation import Message
from seekd.prompt.render.turns import Room, find_cuts

HEAD, USER, ANSWER, SUMMARY, NUM_TURNS = 400, 120, 180, 1024, 400
ROOMS = (4_096, 16_384, 65_536)


def main() -> None:
    """Print one line a room and way."""
    print(f"{NUM_TURNS} turns of {USER} + {ANSWER} tokens, {HEAD} tokens of system text and tools")
    for room in ROOMS:
        left = room - HEAD
        note = min(SUMMARY, room // 8)
        for way, start_of, noted in (
            ("one turn at a time", lambda sizes, left=left: _fewest(sizes, left), 0),
            ("drop, half is freed", lambda sizes, left=left: _last_cut(sizes, left, left), 0),
            ("summarise, half is freed", lambda sizes, left=left, note=note: _last_cut(sizes, left, left - note), note),
        ):
            computed, num_cuts, kept = _run(start_of, noted)
            line = f"room {room:6}  {way:24}  {computed / NUM_TURNS:7.0f} computed a turn  {num_cuts:3} cuts"
            print(f"{line}  {kept / room:4.0%} of the room used on average once it is full")


def _run(start_of: Callable[[list[int]], int], note: int) -> tuple[int, int, float]:
    computed = num_cuts = start = 0
    used: list[int] = []
    for turn in range(NUM_TURNS):
        sizes = [USER, ANSWER] * turn + [USER]
        before, start = start, start_of(sizes)
        prompt = HEAD + (note if start else 0) + sum(sizes[start:])
        if start != before:
            num_cuts += 1
            computed += prompt - HEAD
            # The summary's own prompt was computed before but for its question; what it writes counts as well.
            computed += note
        else:
            computed += (ANSWER if turn else HEAD) + USER
        if start:
            used.append(prompt)
    return computed, num_cuts, sum(used) / max(1, len(used))


def _fewest(sizes: list[int], left: int) -> int:
    start = 0
    while sum(sizes[start:]) > left:
        start += 2
    return start


def _last_cut(sizes: list[int], whole: int, shortened: int) -> int:
    messages = [Message(role="assistant" if index % 2 else "user", content="") for index in range(len(sizes))]
    cuts = find_cuts(messages, sizes, Room(whole=whole, shortened=shortened))
    return cuts[-1] if cuts else 0


if __name__ == "__main__":
    main()
