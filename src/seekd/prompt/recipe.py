"""Requests through DeepSeek's own protocol package, which here, `recipe_parser` and `excerpts` import and nobody else.

    body bytes ──> ReadBody ──convert──> RecipeBody ──render──> Segments
                                              └──open_parser──> RecipeParser ──> OutputChunk   (recipe_parser.py)

Families that the package does not know render the conversation themselves, and their answers are translated into the
package's terms first, so that its parser makes the chunks of all of them.

Written for 0.2: requests and generators are consumed by their use, so each object here is made where it is used and
never twice.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import deepseek_recipe as recipe

from seekd.errors import InvalidParameter, MalformedBody
from seekd.prompt.answer import patches
from seekd.prompt.answer.family_parser import FamilyParser
from seekd.prompt.answer.reasoning import ReasoningScanner
from seekd.prompt.answer.recipe_parser import AnswerClass, RecipeParser
from seekd.prompt.answer.translator import AnswerTranslator
from seekd.prompt.call_syntax import CALL_SYNTAXES
from seekd.prompt.render import excerpts
from seekd.prompt.render.call_writer import MARK
from seekd.prompt.render.conversation import Conversation
from seekd.prompt.render.neutral import neutral
from seekd.prompt.tokenizer_json import aliases_of, token_bytes_of
from seekd.prompt.types import (
    AnswerStart,
    ChatFormat,
    OutputParser,
    PackageFormat,
    PromptFormat,
    ResponseIdentity,
    Segment,
)

MAX_TOKENS_BOUND = 393_216
"""Largest `max_tokens` that the service takes. Source: docs/reference/wire.md §6.1."""


class WireProtocol(enum.Enum):
    """The three request formats that the package reads."""

    CHAT = "chat"
    MESSAGES = "messages"
    RESPONSES = "responses"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLimit:
    """The package's own constraint on the output: `json`, `regex`, `tool_call` or `tool_call_required`."""

    kind: str
    schema: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Classes:
    # The package's classes for one protocol, which share no base class.
    request: Any
    answer: AnswerClass


_CLASSES: Mapping[WireProtocol, _Classes] = {
    WireProtocol.CHAT: _Classes(
        request=recipe.ChatCompletionRequest,
        answer=AnswerClass(response=recipe.ChatCompletionResponse, patch=patches.patch_chat),
    ),
    WireProtocol.MESSAGES: _Classes(
        request=recipe.MessagesRequest,
        answer=AnswerClass(response=recipe.MessagesResponse, patch=patches.patch_messages),
    ),
    WireProtocol.RESPONSES: _Classes(
        request=recipe.ResponsesRequest,
        answer=AnswerClass(response=recipe.ResponsesResponse, patch=patches.patch_responses),
    ),
}

_SYNTAX_PREFIX = "invalid JSON request: "
_SHAPE_PREFIX = "invalid request body: "


class ReadBody:
    """A body whose shape is right; its rules are checked by `convert`, once.

    Args:
        protocol: whose format the body has.
        body: JSON text, or the value that it spells.
        echoed: the body that a Responses answer repeats, of the same shape; None for the same one.

    Raises:
        MalformedBody: not JSON, or not of the protocol's shape; the message is the bare reason, without a place.
    """

    def __init__(self, protocol: WireProtocol, body: bytes | dict[str, Any], *, echoed: bytes | None = None) -> None:
        self._protocol = protocol
        self._echoed = echoed
        try:
            self._request = _CLASSES[protocol].request(body)
        except ValueError as error:
            text = str(error)
            if text.startswith(_SYNTAX_PREFIX):
                raise MalformedBody(text.removeprefix(_SYNTAX_PREFIX), is_syntax=True) from error
            raise MalformedBody(text.removeprefix(_SHAPE_PREFIX), is_syntax=False) from error
        self.model: str = self._request.model

    def convert(self, *, models: Sequence[str], thinking_by_default: bool, requires_reasoning: bool) -> RecipeBody:
        """Check the protocol's rules.

        Args:
            models: the model names that are accepted, in the order in which an error lists them.
            thinking_by_default: whether a body that says nothing about thinking thinks.
            requires_reasoning: refuse a tool loop whose last assistant turn lacks its reasoning, instead of filling it.

        Raises:
            InvalidParameter: a rule is broken; the message is the service's own.
        """
        versions = dict.fromkeys(models, recipe.ModelVersion.DeepseekV41Flash)
        reject = recipe.ReasoningContentBehavior.Reject if requires_reasoning else None
        options = recipe.ConversionOptions(
            default_thinking_mode=thinking_by_default,
            reasoning_content_behavior=reject or recipe.ReasoningContentBehavior.FillEmpty,
        ).with_model_versions_by_name(versions)
        finishing: Callable[[Any], Any] = _unchanged
        try:
            if self._protocol is WireProtocol.RESPONSES:
                finishing = _responses_finishing(self._request, options, echoed=self._echoed)
            conversation_request = self._request.convert(options)
        except recipe.ConversionError as error:
            raise InvalidParameter(_message_of(error)) from error
        return RecipeBody(self._protocol, conversation_request, finishing)


class RecipeBody:
    """A validated body. Implements `types.ParsedBody`.

    Args:
        protocol: whose answers it wants.
        conversation_request: as converted.
        finishing: what the protocol adds to the generator of chunks.
        conversation: what becomes the prompt; None for the one of the request.
    """

    def __init__(
        self,
        protocol: WireProtocol,
        conversation_request: recipe.ConversationRequest,
        finishing: Callable[[Any], Any],
        conversation: recipe.Conversation | None = None,
    ) -> None:
        self._protocol = protocol
        self._request = conversation_request
        self._finishing = finishing
        self._conversation = conversation_request.conversation if conversation is None else conversation

    @property
    def stream(self) -> bool:
        """Whether the caller wants events."""
        return bool(self._request.stream)

    @property
    def thinking(self) -> bool:
        """Whether the model reasons before it answers."""
        return bool(self._request.conversation.thinking_mode)

    @property
    def starts_in_reasoning(self) -> bool:
        """Whether what the model writes first is reasoning; False where a prefix has ended it already."""
        stage = self._request.parsing_options.thinking_initial_stage
        return stage is not None and bool(stage.starts_in_reasoning())

    @property
    def effort(self) -> str | None:
        """`low`, `high`, `xhigh`, `max`, or None when the body left it open."""
        return self._request.conversation.reasoning_effort

    @property
    def max_tokens(self) -> int | None:
        """The completion limit asked for."""
        return self._request.inference_options.max_tokens

    @property
    def has_images(self) -> bool:
        """Whether any message shows the model a picture."""
        return any(message.image_sources for message in self._request.conversation.messages)

    @property
    def service_temperature(self) -> float:
        """What the hosted service would sample with."""
        temperature = self._request.inference_options.temperature
        return 1.0 if temperature is None else temperature

    @property
    def service_top_p(self) -> float:
        """What the hosted service would sample with."""
        top_p = self._request.inference_options.top_p
        return 1.0 if top_p is None else top_p

    @property
    def num_top_logprobs(self) -> int | None:
        """Alternatives to report for each token; None when no log-probabilities were asked for."""
        options = self._request.inference_options
        return (options.top_logprobs or 0) if options.logprobs else None

    @property
    def output_limit(self) -> OutputLimit | None:
        """What the output must keep to; None for free text."""
        constraint = self._request.inference_options.output_constraint
        if constraint is None:
            return None
        schema = constraint.schema
        if constraint.kind.startswith("tool_call") and self._has_deferred_tools:
            schema = _without_hidden(schema, excerpts.loaded_tools(self._conversation))
        return OutputLimit(kind=constraint.kind, schema=schema)

    @property
    def stops(self) -> Sequence[str]:
        """The stop strings that were asked for."""
        return tuple(self._request.parsing_options.stop_sequences or ())

    @cached_property
    def conversation(self) -> Conversation:
        """The conversation in words that no protocol and no family owns."""
        return neutral(self._tools_in_front)

    @property
    def _has_deferred_tools(self) -> bool:
        return any(tool.defer_loading for tool in self._conversation.tools)

    @property
    def _tools_in_front(self) -> recipe.Conversation:
        whole = self._conversation
        return excerpts.with_tools_in_front(whole) if self._has_deferred_tools else whole

    def excerpt(self, start: int, *, note: str = "") -> RecipeBody:
        """The same request without the messages before `start`; see `excerpts.excerpt`."""
        shorter = excerpts.excerpt(self._conversation, start, note=note)
        return RecipeBody(self._protocol, self._request, self._finishing, shorter)

    def with_reminders(self, numbers: Set[int]) -> RecipeBody:
        """The same request with reminders for some system messages; see `excerpts.with_reminders`."""
        reminded = excerpts.with_reminders(self._conversation, numbers)
        return RecipeBody(self._protocol, self._request, self._finishing, reminded)

    def with_parameters(self, parameters: Mapping[str, Any]) -> RecipeBody:
        """The same request with other parameters for the tools of these names, as the model is shown them."""
        shown = excerpts.with_parameters(self._conversation, parameters)
        return RecipeBody(self._protocol, self._request, self._finishing, shown)

    def question(self, part: excerpts.Part, *, question: str, lead: str) -> RecipeBody:
        """A chat request of free text about a part of the conversation; see `excerpts.question`."""
        asked = excerpts.question(self._conversation, part, question=question, lead=lead)
        request = recipe.ConversationRequest(asked, self._request.model_version)
        return RecipeBody(WireProtocol.CHAT, request, _unchanged)

    def render(self, chat_format: ChatFormat) -> list[Segment]:
        """The whole prompt, BOS first."""
        if not isinstance(chat_format, PackageFormat):
            return chat_format.render(self.conversation)
        # V4.1 shows an added tool where it was added, so that the cached prompt before it stays valid.
        whole = self._conversation if chat_format.prompt_format is PromptFormat.V41 else self._tools_in_front
        rendered = _encoding(chat_format.prompt_format).render_conversation(whole)
        prompt: str = rendered.prompt
        segments: list[Segment] = []
        position = 0
        for start, end in rendered.special_ranges:
            if position < start:
                segments.append(Segment(text=prompt[position:start]))
            segments.append(Segment(text=prompt[start:end], is_control=True))
            position = end
        if position < len(prompt):
            segments.append(Segment(text=prompt[position:]))
        return segments

    def answer_start(self, chat_format: ChatFormat) -> AnswerStart:
        """Where the rendered prompt leaves the model."""
        if not isinstance(chat_format, PackageFormat):
            return chat_format.answer_start(self.conversation)
        return AnswerStart.REASONING if self.starts_in_reasoning else AnswerStart.CONTENT

    def open_parser(
        self,
        identity: ResponseIdentity,
        chat_format: ChatFormat,
        *,
        is_json: bool = False,
        tokenizer_json: str | None = None,
    ) -> OutputParser:
        """A parser for this request's answer."""
        options = self._request.parsing_options
        calls = CALL_SYNTAXES.get(chat_format.call_syntax)
        start = self.answer_start(chat_format)
        has_calls = options.parse_tool_calls
        if calls is None:  # a form that the package reads itself
            reasons = start is AnswerStart.REASONING
            always_reasons = reasons and not self.starts_in_reasoning
            if always_reasons or (is_json and not options.parse_json_output):
                options = recipe.ParsingOptions(
                    parse_tool_calls=has_calls,
                    parse_json_output=is_json or options.parse_json_output,
                    thinking_initial_stage=self._stage(start) if always_reasons else options.thinking_initial_stage,
                    starts_in_tool_calls=options.starts_in_tool_calls,
                    stop_sequences=options.stop_sequences,
                    special_tokens=options.special_tokens,
                )
            scanner = ReasoningScanner() if reasons else None
            return self._parser(identity, options, tokenizer_json=tokenizer_json, reasoning=scanner)
        stage = self._stage(start)
        translator = AnswerTranslator(
            start=start,
            calls=calls if has_calls else None,
            reader_thinks=stage is not None and bool(stage.starts_in_reasoning()),
        )
        own = recipe.ParsingOptions(
            parse_tool_calls=has_calls,
            parse_json_output=is_json or options.parse_json_output,
            thinking_initial_stage=stage,
            stop_sequences=options.stop_sequences,
            special_tokens=recipe.SpecialTokens(dsml=MARK),
        )
        return FamilyParser(
            self._parser(identity, own, tokenizer_json=tokenizer_json, reasoning=None),
            translator,
            token_bytes=None if tokenizer_json is None else token_bytes_of(tokenizer_json),
        )

    def _stage(self, start: AnswerStart) -> recipe.ThinkingInitialStage | None:
        """Where the package's parser begins; an answer without the reasoning that was asked for has an empty one."""
        stages = recipe.ThinkingInitialStage
        if start is AnswerStart.CONTENT and not self.thinking:
            return None
        if self.conversation.prefix is None:
            return stages.ReasoningStart
        return stages.ContentContinuation if start is AnswerStart.CONTENT else stages.ReasoningContinuation

    def _parser(
        self,
        identity: ResponseIdentity,
        options: recipe.ParsingOptions,
        *,
        tokenizer_json: str | None,
        reasoning: ReasoningScanner | None,
    ) -> RecipeParser:
        classes = _CLASSES[self._protocol]
        generator = self._finishing(
            classes.request.chunk_generator(self._request, identity.response_id, identity.model)
        )
        reader = None if tokenizer_json is None else _token_reader(tokenizer_json)
        return RecipeParser(
            identity=identity,
            processor=recipe.StreamProcessor(generator, options, None if reader is None else reader.tokenizer),
            aliases={} if reader is None else reader.aliases,
            answer=classes.answer,
            reasoning=reasoning,
            reports_reasoning=options.thinking_initial_stage is not None,
            # With log-probabilities the events say how many of the tokens are reasoning.
            is_whole=not self.stream and reader is None,
        )


@lru_cache(maxsize=len(PromptFormat))
def _encoding(prompt_format: PromptFormat) -> Any:
    # Holds no state between calls, and making one costs more than reading a short request.
    return recipe.DeepseekV4Encoding() if prompt_format is PromptFormat.V4 else recipe.DeepseekV41Encoding()


@dataclass(frozen=True, slots=True, kw_only=True)
class _TokenReader:
    # aliases: tokens of equal bytes, which the package's file format cannot tell apart by name.
    tokenizer: recipe.Tokenizer
    aliases: Mapping[int, int]


@lru_cache(maxsize=2)
def _token_reader(tokenizer_json: str) -> _TokenReader:
    # A second of work for a large vocabulary; a model is loaded once, so its text is one object.
    return _TokenReader(tokenizer=recipe.Tokenizer.from_str(tokenizer_json), aliases=aliases_of(tokenizer_json))


def _without_hidden(schema: str, loaded: Set[str]) -> str:
    """The tools of a limit that the model was shown. One that the caller forces stays, shown or not."""
    tools = json.loads(schema)
    shown = [tool for tool in tools if tool["function"]["name"] in loaded]
    return json.dumps(shown or tools, ensure_ascii=False)


def _message_of(error: recipe.ConversionError) -> str:
    try:
        return str(json.loads(error.body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return str(error)


def _unchanged(generator: Any) -> Any:
    return generator


def _responses_finishing(
    request: Any, options: recipe.ConversionOptions, *, echoed: bytes | None
) -> Callable[[Any], Any]:
    # Read before `convert` consumes the request. A bad tool is left to `convert`, which checks in the right order.
    try:
        namespace_tool_map = request.namespace_tool_map(options)
    except recipe.ConversionError:
        namespace_tool_map = {}
    echo = (request if echoed is None else recipe.ResponsesRequest(echoed)).echo()
    return lambda generator: generator.with_namespace_tool_map(namespace_tool_map).with_echo(echo)
