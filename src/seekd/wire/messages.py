"""`POST /anthropic/v1/messages` and its `count_tokens`: body bytes to a `Call`.

Names of Anthropic's models are served here, as the service does. Errors keep the service's envelope, which is not
Anthropic's, except inside a stream, where only an event of Anthropic's own shape reaches the caller. Source:
docs/reference/wire.md §14.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from typing import Any

import msgspec

from seekd.errors import InvalidParameter, MalformedBody
from seekd.prompt.recipe import ReadBody, WireProtocol
from seekd.wire.calls import Call, Encoder
from seekd.wire.dialect import Dialect
from seekd.wire.failures import error_facts
from seekd.wire.foreign_fields import foreign_warnings
from seekd.wire.malformed import located
from seekd.wire.model_names import served_name, thinks_by_default
from seekd.wire.nullable_fields import add_messages_fields
from seekd.wire.requests import decoded_object, generation_request, named_choice, user_id_or_none
from seekd.wire.sse import frame


def parse_messages(body: bytes, *, dialect: Dialect, models: Collection[str] = ()) -> Call:
    """Validate a Messages body.

    Args:
        body: as received.
        dialect: of the request.
        models: names that this server answers to besides the official ones.

    Raises:
        MalformedBody: not JSON, or not of the shape of the protocol.
        InvalidParameter: a rule of the protocol is broken.
        UnknownModel: no model answers the name.
    """
    fields = decoded_object(body)
    reminders = _reminders(fields)
    text = msgspec.json.encode(_with_system_for(fields, reminders)) if reminders else body
    try:
        read = ReadBody(WireProtocol.MESSAGES, text)
    except MalformedBody as error:
        raise located(error, WireProtocol.MESSAGES, body=body, rewritten=text) from error
    served_model = served_name(read.model, models, takes_any=dialect.serves_any_name)
    parsed = read.convert(
        models=(read.model,),
        thinking_by_default=thinks_by_default(served_model),
        requires_reasoning=dialect.requires_reasoning,
    )
    if parsed.has_images:
        raise InvalidParameter("This model does not support image")
    if reminders:
        parsed = parsed.with_reminders(_numbers_from_the_end(fields, reminders))
    choice, metadata = fields.get("tool_choice"), fields.get("metadata")
    user_id = metadata.get("user_id") if isinstance(metadata, dict) else None
    names_tool = isinstance(choice, dict) and choice.get("type") == "tool"
    request = generation_request(
        read.model,
        parsed,
        fields,
        dialect,
        sampled=("temperature", "top_p"),
        user_id=user_id_or_none(user_id, member="metadata.user_id"),
        tool_choice=(named_choice(choice) if names_tool else None) or "auto",
        lower_max_tokens=True,
        served_model=served_model,
    )
    return Call(
        request=request,
        encoder=MessagesEncoder(dialect),
        id_prefix="msg_",
        warnings=foreign_warnings(fields),
    )


def _reminders(fields: Mapping[str, Any]) -> Sequence[int]:
    """Indices of the messages of the role `latest_reminder`, which the protocol package knows in chat bodies only."""
    messages = fields.get("messages")
    if not isinstance(messages, list):
        return ()
    return [index for index, message in enumerate(messages) if _has_role(message, "latest_reminder")]


def _with_system_for(fields: Mapping[str, Any], reminders: Sequence[int]) -> dict[str, Any]:
    messages = list(fields["messages"])
    for index in reminders:
        content = messages[index].get("content")
        if isinstance(content, list) and any(_is_addition(block) for block in content):
            raise InvalidParameter(f"messages.{index}: `tool_addition` blocks can only be in `system` messages")
        messages[index] = {**messages[index], "role": "system"}
    return {**fields, "messages": messages}


def _numbers_from_the_end(fields: Mapping[str, Any], reminders: Sequence[int]) -> Set[int]:
    # From the end, because the text of `system` comes before them all, or is not there.
    system = [index for index, message in enumerate(fields["messages"]) if _has_role(message, "system")]
    return {sum(other > index for other in (*system, *reminders)) for index in reminders}


def _has_role(message: object, role: str) -> bool:
    return isinstance(message, dict) and message.get("role") == role


def _is_addition(block: object) -> bool:
    return isinstance(block, dict) and block.get("type") == "tool_addition"


def count_tokens_body(num_tokens: int) -> bytes:
    """The answer of `count_tokens`."""
    return msgspec.json.encode({"input_tokens": num_tokens})


class MessagesEncoder(Encoder):
    """Named events, no `[DONE]`; with what newer types of clients require, where the dialect has it."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect, *((add_messages_fields,) if dialect.has_nullable_fields else ()))

    def encode_end(self) -> bytes:
        """Nothing: `message_stop` was the end."""
        return b""

    def encode_error(self, error: BaseException) -> bytes:
        """An `error` event."""
        facts = error_facts(error, self._dialect)
        data = {"type": "error", "error": {"type": facts.error_type, "message": facts.message}}
        return frame(msgspec.json.encode(data), event_name="error")
