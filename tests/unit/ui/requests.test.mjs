import assert from "node:assert/strict";
import test from "node:test";

const { chatRequest, fillRequest, readTools } = await import(`${process.env.STATIC}/lib/requests.js`);

const OPTIONS = {
  model: "m", system: "", parameters: {}, stop: [], thinking: "auto", effort: "", format: "text", schema: "{}", tools: "",
  toolChoice: "auto", prefix: "",
};
const USER = { role: "user", content: "Hi" };
const body = (change, messages = [USER]) => chatRequest(messages, { ...OPTIONS, ...change }).body;

test("a request says no more than what was chosen", () => {
  assert.deepEqual(chatRequest([USER], OPTIONS), {
    path: "/v1/chat/completions",
    body: { model: "m", messages: [USER], stream: true, stream_options: { include_usage: true } },
  });
});

test("every option has its place", () => {
  const { messages, ...rest } = body({
    system: "Be brief.", parameters: { temperature: 0, top_logprobs: 0, seed: null }, stop: ["END"], thinking: "off", effort: "low",
    format: "json_object",
  });
  assert.deepEqual(messages, [{ role: "system", content: "Be brief." }, USER]);
  assert.deepEqual(rest, {
    model: "m", temperature: 0, top_logprobs: 0, logprobs: true, stop: ["END"], thinking: { type: "disabled" },
    reasoning_effort: "low", response_format: { type: "json_object" }, stream: true, stream_options: { include_usage: true },
  });
});

test("a schema is sent as it is, and one that is no JSON is refused", () => {
  const { response_format: format } = body({ format: "json_schema", schema: '{"type": "object"}' });
  assert.deepEqual(format, { type: "json_schema", json_schema: { name: "answer", schema: { type: "object" } } });
  assert.throws(() => body({ format: "json_schema", schema: "{" }), SyntaxError);
});

test("a prefix and strict tools need the beta address", () => {
  const { path, body } = chatRequest([USER], { ...OPTIONS, prefix: "Once" });
  assert.equal(path, "/beta/chat/completions");
  assert.deepEqual(body.messages.at(-1), { role: "assistant", content: "Once", prefix: true });
  const tools = '[{"name": "f", "strict": true}]';
  assert.equal(chatRequest([USER], { ...OPTIONS, tools }).path, "/beta/chat/completions");
});

test("tools are taken bare or as a request has them", () => {
  const whole = { type: "function", function: { name: "f" } };
  assert.deepEqual(readTools('[{"name": "f"}]'), [whole]);
  assert.deepEqual(readTools(JSON.stringify([whole])), [whole]);
  assert.deepEqual(readTools("  "), []);
  assert.throws(() => readTools('{"name": "f"}'), /list of functions/);
  assert.throws(() => readTools("[{}]"), /needs a "name"/);
});

test("a tool loop gets its calls, results and reasoning back, an old answer only its text", () => {
  const toolCalls = [{ id: "1", type: "function", function: { name: "f", arguments: "{}" } }];
  const { messages } = body({}, [
    { role: "assistant", content: "Hello", reasoning: "old", toolCalls: [] },
    USER,
    { role: "assistant", content: "", reasoning: "why", toolCalls },
    { role: "tool", content: "42", toolCallId: "1" },
  ]);
  assert.deepEqual(messages, [
    { role: "assistant", content: "Hello" },
    USER,
    { role: "assistant", content: "", reasoning_content: "why", tool_calls: toolCalls },
    { role: "tool", tool_call_id: "1", content: "42" },
  ]);
});

test("a gap is filled by a completion", () => {
  const parameters = { temperature: 0.5, seed: 1, top_logprobs: 3 };
  assert.deepEqual(fillRequest({ before: "a", after: "c" }, { ...OPTIONS, parameters }), {
    path: "/beta/completions",
    body: { model: "m", prompt: "a", suffix: "c", temperature: 0.5, stream: true, stream_options: { include_usage: true } },
  });
});
