// An answer as it grows: what the chunks of a stream said so far.

/** An answer of which nothing has come. `startedMs` is the time of the request, by any clock that only goes on. */
export const emptyAnswer = (startedMs) => ({
  content: "",
  reasoning: "",
  toolCalls: [],
  logprobs: [],
  usage: null,
  finish: null,
  startedMs,
  firstMs: null,
  reasonedMs: null,
  endedMs: null,
});

/** The answer with one more chunk in it, of a chat or of a completion. Throws the error that a chunk tells of. */
export function withChunk(answer, chunk, nowMs) {
  if (chunk.error) throw new Error(chunk.error.message);
  const next = { ...answer, usage: chunk.usage ?? answer.usage };
  const choice = chunk.choices?.[0];
  if (!choice) return next;
  const { content = choice.text, reasoning_content: reasoning, tool_calls: calls } = choice.delta ?? {};
  if (content || reasoning || calls) next.firstMs ??= nowMs;
  if (reasoning) next.reasoning += reasoning;
  if ((content || calls) && next.reasoning) next.reasonedMs ??= nowMs;
  if (content) next.content += content;
  if (calls) next.toolCalls = withCalls(next.toolCalls, calls);
  if (choice.logprobs?.content) next.logprobs = [...next.logprobs, ...choice.logprobs.content];
  if (choice.finish_reason) {
    next.finish = choice.finish_reason;
    next.endedMs = nowMs;
  }
  return next;
}

function withCalls(known, pieces) {
  const calls = [...known];
  for (const { index, id, function: piece } of pieces) {
    const call = calls[index] ?? { id, type: "function", function: { name: "", arguments: "" } };
    calls[index] = {
      ...call,
      function: {
        name: call.function.name + (piece?.name ?? ""),
        arguments: call.function.arguments + (piece?.arguments ?? ""),
      },
    };
  }
  return calls;
}

const LEAST_MEASURED_S = 0.02; // chunks of one packet come at the same time

/** What a person wants to know of an answer's speed and size; null where it is not known. */
export function answerFacts({ usage, startedMs, firstMs, endedMs }, contextTokens) {
  const decodeS = firstMs !== null && endedMs !== null ? (endedMs - firstMs) / 1000 : null;
  const completion = usage?.completion_tokens ?? null;
  return {
    promptTokens: usage?.prompt_tokens ?? null,
    cachedTokens: usage?.prompt_cache_hit_tokens ?? null,
    completionTokens: completion,
    firstTokenS: firstMs === null ? null : (firstMs - startedMs) / 1000,
    // The first token is not part of the time that follows it.
    tokensPerSecond: decodeS >= LEAST_MEASURED_S && completion > 1 ? (completion - 1) / decodeS : null,
    contextShare: usage && contextTokens ? usage.total_tokens / contextTokens : null,
  };
}

/** Seconds that an answer reasoned, so far or in all; null before it has begun. */
export function reasoningSeconds({ firstMs, reasonedMs, endedMs }, nowMs) {
  return firstMs === null ? null : ((reasonedMs ?? endedMs ?? nowMs) - firstMs) / 1000;
}
