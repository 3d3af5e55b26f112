"""Messages arrive whole, however a socket cuts them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from seekd.engine.link.frames import FrameReader, frame


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(1, 50), max_size=40))
def test_messages_come_back_whole_and_in_order(messages: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(frame(message) for message in messages)
    reader, found = FrameReader(), []
    for length in [*cuts, len(stream) + 1]:
        piece, stream = stream[:length], stream[length:]
        found += [bytes(message) for message in reader.feed(piece)]
    assert found == messages


def test_a_message_whose_end_is_missing_waits_for_it() -> None:
    reader, encoded = FrameReader(), frame(b"abc")
    assert list(reader.feed(encoded[:-1])) == []
    assert [bytes(message) for message in reader.feed(encoded[-1:])] == [b"abc"]
