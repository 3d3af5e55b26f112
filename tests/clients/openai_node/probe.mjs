// The official OpenAI client for Node.js under faults.
import OpenAI from 'openai';
import { probe, QUESTION, TIMEOUT_MS, TOOL, URL } from '../probing.mjs';

const client = new OpenAI({ apiKey: 'any', baseURL: `${URL}/v1`, maxRetries: 0, timeout: TIMEOUT_MS });

await probe(async (isStream, isCall) => {
  const tools = isCall ? [{ type: 'function', function: TOOL }] : undefined;
  const messages = [{ role: 'user', content: QUESTION }];
  const body = { model: 'deepseek-chat', messages, tools, stream: isStream };
  // Its time limit ends with the first byte; a stream that stands still is for the caller to end.
  const signal = AbortSignal.timeout(3 * TIMEOUT_MS);
  const answer = await client.chat.completions.create(body, { signal });
  const part = (piece) =>
    isCall ? (piece.tool_calls ?? []).map((call) => call.function.arguments ?? '').join('') : (piece.content ?? '');
  if (!isStream) return part(answer.choices[0].message);
  let text = '';
  for await (const chunk of answer) text += part(chunk.choices[0].delta);
  if (signal.aborted) throw new OpenAI.APIUserAbortError();
  return text;
});
