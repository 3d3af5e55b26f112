// What the playground's options say, as requests of the API: `{ path, body }`.
import { PARAMETERS } from "./parameters.js";

/**
 * The request for the next message of a conversation.
 *
 * `options`: model, system, parameters (name to number), stop (texts), thinking ("auto", "on", "off"), effort ("" or a
 * level), format ("text", "json_object", "json_schema"), schema (text), tools (text), toolChoice, prefix (text that the
 * answer begins with). Throws an Error for a schema or tools that cannot be read.
 */
export function chatRequest(messages, options) {
  const tools = readTools(options.tools);
  const isBeta = options.prefix || tools.some((tool) => tool.function.strict);
  const body = {
    model: options.model,
    messages: [...systemMessages(options), ...messages.map(requestMessage), ...prefixMessages(options)],
    ...numbers(options),
    ...(options.stop.length ? { stop: options.stop } : {}),
    ...thinking(options),
    ...responseFormat(options),
    ...(tools.length ? { tools, tool_choice: options.toolChoice } : {}),
    ...streaming,
  };
  return { path: `${isBeta ? "/beta" : "/v1"}/chat/completions`, body };
}

/** The request for the text between two others. */
export function fillRequest({ before, after }, options) {
  const body = {
    model: options.model,
    prompt: before,
    suffix: after,
    ...numbers(options, ["seed", "top_logprobs"]),
    ...(options.stop.length ? { stop: options.stop } : {}),
    ...streaming,
  };
  return { path: "/beta/completions", body };
}

/** The tools of a text of JSON: functions, bare or in the form in which a request has them. */
export function readTools(text) {
  if (!text.trim()) return [];
  const entries = JSON.parse(text);
  if (!Array.isArray(entries)) throw new Error("Tools are a list of functions: [{\"name\": …, \"parameters\": …}].");
  const tools = entries.map((entry) => (entry.function ? entry : { type: "function", function: entry }));
  if (!tools.every((tool) => tool.function.name)) throw new Error("Each function needs a \"name\".");
  return tools;
}

const streaming = { stream: true, stream_options: { include_usage: true } };

function numbers({ parameters }, leftOut = []) {
  const set = PARAMETERS.map(({ name }) => [name, parameters[name]]).filter(
    ([name, value]) => value !== null && value !== undefined && !leftOut.includes(name),
  );
  const body = Object.fromEntries(set);
  return "top_logprobs" in body ? { ...body, logprobs: true } : body;
}

function thinking(options) {
  const type = { on: "enabled", off: "disabled" }[options.thinking];
  return { ...(type ? { thinking: { type } } : {}), ...(options.effort ? { reasoning_effort: options.effort } : {}) };
}

function responseFormat({ format, schema }) {
  if (format === "text") return {};
  const isSchema = format === "json_schema";
  return { response_format: { type: format, ...(isSchema ? { json_schema: { name: "answer", schema: JSON.parse(schema) } } : {}) } };
}

const systemMessages = ({ system }) => (system.trim() ? [{ role: "system", content: system }] : []);
const prefixMessages = ({ prefix }) => (prefix ? [{ role: "assistant", content: prefix, prefix: true }] : []);

function requestMessage({ role, content, reasoning, toolCalls, toolCallId }) {
  if (role === "tool") return { role, tool_call_id: toolCallId, content };
  if (role === "assistant" && toolCalls?.length) {
    // A tool loop needs its reasoning back.
    return { role, content, ...(reasoning ? { reasoning_content: reasoning } : {}), tool_calls: toolCalls };
  }
  return { role, content };
}
