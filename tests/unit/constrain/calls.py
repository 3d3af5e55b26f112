"""What DeepSeek's own parser reads in a generated text: the judge of the call grammars."""

from __future__ import annotations

import json
from dataclasses import dataclass

from deepseek_recipe import (
    ChatCompletionRequest,
    Conversation,
    ConversationRequest,
    InferenceChunk,
    InferenceFinishReason,
    ModelVersion,
    ParsingOptions,
    PromptUsage,
    StreamProcessor,
    ThinkingInitialStage,
    UserMessage,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    reasoning: str
    content: str
    arguments: list[tuple[str, str]]
    finish_reason: str

    @property
    def calls(self) -> list[tuple[str, object]]:
        """Name and parsed arguments of each call; raises where the arguments are not JSON."""
        return [(name, json.loads(text)) for name, text in self.arguments]


def read_answer(text: str, *, thinking: bool = False, opened: bool = False, is_json: bool = False) -> Answer:
    """Read a generated text as the API would.

    Args:
        text: everything that was generated.
        thinking: the prompt has opened the reasoning.
        opened: the prompt has opened a block of calls.
        is_json: JSON mode.
    """
    options = ParsingOptions(
        parse_tool_calls=True,
        starts_in_tool_calls=opened,
        parse_json_output=is_json,
        thinking_initial_stage=ThinkingInitialStage.ReasoningStart if thinking else None,
    )
    conversation = Conversation([UserMessage("x")], thinking_mode=thinking)
    request = ConversationRequest(conversation, ModelVersion.DeepseekV41Flash)
    processor = StreamProcessor(ChatCompletionRequest.chunk_generator(request, "id", "model"), options)
    chunks = list(processor.push(InferenceChunk.ready(prompt_usage=PromptUsage(prompt_tokens=1))))
    chunks += processor.push(InferenceChunk.text(text, 1)) if text else []
    chunks += processor.push(InferenceChunk.finish(InferenceFinishReason.Stop))
    chunks += processor.finish()
    reasoning, content, finish_reason = "", "", ""
    arguments: list[tuple[str, str]] = []
    for chunk in chunks:
        choice = json.loads(chunk.to_json())["choices"][0]
        finish_reason = choice["finish_reason"] or finish_reason
        reasoning += choice["delta"].get("reasoning_content") or ""
        content += choice["delta"].get("content") or ""
        for piece in choice["delta"].get("tool_calls", ()):
            if "name" in piece["function"]:
                arguments.append((piece["function"]["name"], ""))
            name, written = arguments[piece["index"]]
            arguments[piece["index"]] = (name, written + piece["function"]["arguments"])
    return Answer(reasoning=reasoning, content=content, arguments=arguments, finish_reason=finish_reason)
