from seekd.prompt.render.segment_writer import SegmentWriter
from seekd.prompt.types import Segment


def test_texts_of_one_kind_become_one_segment() -> None:
    writer = SegmentWriter()
    writer.control("B", "C")
    writer.plain("a")
    writer.plain("")
    writer.plain("b")
    writer.markup("")
    writer.markup("c")
    writer.markup("d")
    writer.control("E")
    writer.plain("f")
    assert writer.segments == [
        Segment(text="B", is_control=True),
        Segment(text="C", is_control=True),
        Segment(text="ab"),
        Segment(text="cd", is_markup=True),
        Segment(text="E", is_control=True),
        Segment(text="f"),
    ]
