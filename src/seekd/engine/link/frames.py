"""Messages on a stream socket: each is four bytes of its length, little-endian, and the message.

Reads and writes no socket; both sides of the engine's socket use it.
"""

from __future__ import annotations

from collections.abc import Iterator

LENGTH_BYTES = 4


def frame(message: bytes) -> bytes:
    """A message as it goes over the socket; at most 4 GiB."""
    return len(message).to_bytes(LENGTH_BYTES, "little") + message


class FrameReader:
    """Cuts what a socket gives into messages, however the pieces fall."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._wanted = LENGTH_BYTES  # of the rest before it is worth a look; a long message comes in many pieces

    def feed(self, data: bytes) -> Iterator[memoryview]:
        """The messages that `data` completes; iterate to the end."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return
            data = bytes(self._rest)
            self._rest.clear()
        view = memoryview(data)
        self._wanted = LENGTH_BYTES
        while len(view) >= LENGTH_BYTES:
            end = LENGTH_BYTES + int.from_bytes(view[:LENGTH_BYTES], "little")
            if len(view) < end:
                self._wanted = end
                break
            yield view[LENGTH_BYTES:end]
            view = view[end:]
        self._rest += view
