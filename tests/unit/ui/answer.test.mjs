import assert from "node:assert/strict";
import test from "node:test";

const { answerFacts, emptyAnswer, reasoningSeconds, withChunk } = await import(`${process.env.STATIC}/lib/answer.js`);

const delta = (delta, rest = {}) => ({ choices: [{ delta, ...rest }] });
const grown = (...chunks) => chunks.reduce((answer, chunk, index) => withChunk(answer, chunk, 1000 + 500 * index), emptyAnswer(0));

test("reasoning, content and finish are put together with their times", () => {
  const answer = grown(
    delta({ role: "assistant", content: null, reasoning_content: "" }),
    delta({ reasoning_content: "Let me " }),
    delta({ reasoning_content: "see" }),
    delta({ content: "Hel" }),
    delta({ content: "lo" }),
    delta({}, { finish_reason: "stop" }),
    { choices: [], usage: { prompt_tokens: 4, completion_tokens: 9, total_tokens: 13, prompt_cache_hit_tokens: 2 } },
  );
  assert.equal(answer.reasoning, "Let me see");
  assert.equal(answer.content, "Hello");
  assert.equal(answer.finish, "stop");
  assert.deepEqual([answer.firstMs, answer.reasonedMs, answer.endedMs], [1500, 2500, 3500]);
  assert.equal(reasoningSeconds(answer, 9999), 1);
  assert.deepEqual(answerFacts(answer, 130), {
    promptTokens: 4, cachedTokens: 2, completionTokens: 9, firstTokenS: 1.5, tokensPerSecond: 4, contextShare: 0.1,
  });
});

test("an answer that has not begun has no facts", () => {
  assert.deepEqual(Object.values(answerFacts(emptyAnswer(0), 100)), [null, null, null, null, null, null]);
  assert.equal(reasoningSeconds(emptyAnswer(0), 5), null);
});

test("pieces of several calls are put together by their index", () => {
  const piece = (index, rest) => delta({ tool_calls: [{ index, ...rest }] });
  const { toolCalls } = grown(
    piece(0, { id: "a", type: "function", function: { name: "f", arguments: "" } }),
    piece(0, { function: { arguments: '{"x":' } }),
    piece(1, { id: "b", type: "function", function: { name: "g", arguments: "{}" } }),
    piece(0, { function: { arguments: "1}" } }),
  );
  assert.deepEqual(toolCalls, [
    { id: "a", type: "function", function: { name: "f", arguments: '{"x":1}' } },
    { id: "b", type: "function", function: { name: "g", arguments: "{}" } },
  ]);
});

test("a completion's text is its content", () => {
  const answer = grown({ choices: [{ text: "a" }] }, { choices: [{ text: "b", finish_reason: "length" }], usage: { total_tokens: 3 } });
  assert.deepEqual([answer.content, answer.finish, answer.usage.total_tokens], ["ab", "length", 3]);
});

test("log-probabilities are kept in order", () => {
  const part = (token) => delta({ content: token }, { logprobs: { content: [{ token, logprob: -1, top_logprobs: [] }] } });
  assert.deepEqual(grown(part("a"), part("b")).logprobs.map(({ token }) => token), ["a", "b"]);
});

test("an error in the stream is thrown", () => {
  assert.throws(() => grown({ error: { message: "The engine failed." } }), /The engine failed/);
});
