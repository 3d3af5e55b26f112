"""Texts of malformed bodies.

Room: wire. May import: errors, prompt, wire.
"""

from __future__ import annotations

from seekd.errors import MalformedBody
from seekd.prompt.recipe import WireProtocol


def located(error: MalformedBody, protocol: WireProtocol, *, body: bytes, rewritten: bytes) -> MalformedBody:
    """The error with the sentence, the path and the place that the service gives it.

    Args:
        error: the protocol package's bare reason.
        protocol: whose body it is.
        body: as received.
        rewritten: what the protocol package saw.
    """
    del protocol, body, rewritten
    if error.is_syntax:
        return MalformedBody(f"Failed to parse the request body as JSON: {error.message}", is_syntax=True)
    return MalformedBody(f"Failed to deserialize the JSON body into the target type: {error.message}", is_syntax=False)
