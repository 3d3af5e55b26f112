from seekd.wire.sse import DONE_FRAME, KEEP_ALIVE_FRAME, comment, frame


def test_frames_are_lines_with_a_blank_one_behind() -> None:
    assert frame('{"a":"é"}'.encode()) == 'data: {"a":"é"}\n\n'.encode()
    assert frame(b"{}", event_name="ping") == b"event: ping\ndata: {}\n\n"
    assert DONE_FRAME == b"data: [DONE]\n\n"


def test_keeping_alive_is_a_comment() -> None:
    assert KEEP_ALIVE_FRAME.startswith(b":")
    assert KEEP_ALIVE_FRAME.endswith(b"\n\n")


def test_a_comment_has_no_field_name() -> None:
    assert comment("x: 1") == b": x: 1\n\n"
