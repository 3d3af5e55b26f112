"""Where long conversations are cut: whole turns only, and where they were cut before."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seekd.prompt.render.conversation import Message, Role, StoredCall
from seekd.prompt.render.turns import (
    CALL_TOKENS,
    MESSAGE_TOKENS,
    Room,
    find_cuts,
    message_sizes,
    split_parts,
    turn_starts,
)

_ROLES: dict[str, Role] = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}


def talk(roles: str, *, size: int = 1) -> list[Message]:
    """Messages by the first letters of their roles; `c` is an assistant's with as many calls as results follow."""
    messages: list[Message] = []
    for index, letter in enumerate(roles):
        calls: Sequence[StoredCall] = ()
        if letter == "c":
            num_results = len(roles[index + 1 :]) - len(roles[index + 1 :].lstrip("t"))
            calls = [StoredCall(call_id=f"{index + 1 + i}", name="f", arguments="{}") for i in range(num_results)]
        messages.append(
            Message(
                role=_ROLES["a" if letter == "c" else letter],
                content="x" * size,
                calls=calls,
                call_id=str(index) if letter == "t" else None,
            )
        )
    return messages


_TURN = st.builds(
    lambda asks, loops, answer: asks + "".join(loops) + answer,
    st.sampled_from(["u", "u", "uu", "us"]),
    st.lists(st.sampled_from(["ct", "ctt"]), max_size=3),
    st.sampled_from(["a", "a", "a", "aa"]),
)
_TALK = st.builds(
    lambda lead, turns, end: talk(lead + "".join(turns) + end),
    st.sampled_from(["", "s", "sa", "a"]),
    st.lists(_TURN, max_size=12),
    st.sampled_from(["u", "uct", "ucttct", "su"]),
)


@st.composite
def _sized_talks(draw: st.DrawFn) -> tuple[list[Message], list[int]]:
    messages = draw(_TALK)
    sizes = [0 if message.role == "system" else draw(st.integers(1, 30)) for message in messages]
    return messages, sizes


def _assert_pairs_are_whole(messages: Sequence[Message]) -> None:
    called = {call.call_id for message in messages for call in message.calls}
    assert called == {message.call_id for message in messages if message.role == "tool"}


_ROOMS = st.builds(
    lambda whole, note: Room(whole=whole, shortened=whole - note), st.integers(40, 200), st.integers(0, 30)
)


@given(_sized_talks(), _ROOMS)
def test_what_is_kept_and_what_is_left_out_are_whole_turns(sized: tuple[list[Message], list[int]], room: Room) -> None:
    messages, sizes = sized
    cuts = find_cuts(messages, sizes, room)
    starts = turn_starts(messages)
    assert cuts == sorted(set(cuts))
    assert set(cuts) <= set(starts[1:])
    for begin, end in pairwise([0, *cuts, len(messages)]):
        _assert_pairs_are_whole(messages[begin:end])
    if cuts:
        assert cuts[-1] == starts[-1] or sum(sizes[cuts[-1] :]) <= room.shortened
    elif len(starts) > 1:
        assert sum(sizes) <= room.whole


@given(_sized_talks(), _ROOMS)
def test_a_longer_conversation_is_cut_where_it_was_cut_before(
    sized: tuple[list[Message], list[int]], room: Room
) -> None:
    messages, sizes = sized
    cuts = find_cuts(messages, sizes, room)
    for end in range(1, len(messages)):
        was_request = messages[end - 1].role in ("user", "tool") and messages[end].role == "assistant"
        if was_request:
            before = find_cuts(messages[:end], sizes[:end], room)
            assert before == cuts[: len(before)]


@given(_sized_talks(), _ROOMS, st.integers(20, 120))
def test_parts_fit_end_at_every_cut_and_keep_calls_with_their_results(
    sized: tuple[list[Message], list[int]], room: Room, part: int
) -> None:
    messages, sizes = sized
    cuts = find_cuts(messages, sizes, room)
    ends = split_parts(messages, sizes, cuts, part)
    if ends is None:
        return
    assert set(cuts) <= set(ends)
    assert ends[-1:] == cuts[-1:]
    for begin, end in pairwise([0, *ends]):
        assert 0 < sum(sizes[begin:end]) <= part or all(message.role == "system" for message in messages[begin:end])
        _assert_pairs_are_whole(messages[begin:end])


def test_after_a_cut_half_of_the_room_is_free_and_the_cut_stays_until_it_is_full_again() -> None:
    messages = talk("ua" * 40 + "u")
    sizes = [10] * len(messages)
    room = Room(whole=100, shortened=100)
    cuts = find_cuts(messages, sizes, room)
    # 5 messages stay at a cut, and 6 more are taken before the room of 10 is full.
    assert cuts == list(range(6, 73, 6))


@pytest.mark.parametrize(
    ("roles", "starts"),
    [
        ("u", [0]),
        ("sua", [1]),
        ("suaua", [1, 3]),
        ("aua", [1]),
        ("uua", [0]),
        ("uctuau", [0, 5]),
        ("usuasu", [0, 5]),
        ("", []),
        ("ct", []),
    ],
)
def test_a_turn_begins_at_a_users_message_that_follows_an_answer(roles: str, starts: list[int]) -> None:
    assert turn_starts(talk(roles)) == starts


def test_one_turn_is_never_cut() -> None:
    messages = talk("suctctct")
    assert find_cuts(messages, [0, *[50] * 7], Room(whole=10, shortened=10)) == []


def test_a_message_that_no_request_can_read_has_no_parts() -> None:
    messages = talk("uauau")
    assert split_parts(messages, [1, 99, 1, 1, 1], [4], 50) is None
    assert split_parts(messages, [1, 49, 1, 1, 1], [4], 50) == [2, 4]


def test_a_call_and_its_results_count_as_one() -> None:
    assert split_parts(talk("ucttau"), [10, 20, 20, 20, 10, 1], [5], 50) is None
    assert split_parts(talk("ucttau"), [10, 20, 20, 20, 10, 1], [5], 60) == [1, 4, 5]


def test_sizes_count_all_that_is_sent_and_nothing_of_the_systems() -> None:
    call = StoredCall(call_id="c", name="pick", arguments="{}")
    messages = [
        Message(role="system", content="long"),
        Message(role="user", content="ab"),
        Message(role="assistant", content="c", reasoning="de", calls=[call]),
    ]
    # Counted in bytes here, with a line feed between texts.
    assert message_sizes(messages, len) == [
        0,
        2 + 1 + MESSAGE_TOKENS,
        len("c\nde\npick\n{}") + MESSAGE_TOKENS + CALL_TOKENS,
    ]
