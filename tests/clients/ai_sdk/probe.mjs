// The Vercel AI SDK under faults.
import { createDeepSeek } from '@ai-sdk/deepseek';
import { generateText, streamText, tool } from 'ai';
import { z } from 'zod';
import { probe, QUESTION, TIMEOUT_MS, URL } from '../probing.mjs';

const deepseek = createDeepSeek({ apiKey: 'any', baseURL: `${URL}/v1` });
const tools = { get_weather: tool({ description: 'Get the weather', inputSchema: z.object({ city: z.string() }) }) };

await probe(async (isStream, isCall) => {
  const abortSignal = AbortSignal.timeout(3 * TIMEOUT_MS);
  const options = { model: deepseek('deepseek-chat'), prompt: QUESTION, maxRetries: 0, abortSignal };
  if (isCall) options.tools = tools;
  const args = (calls) => calls.map((call) => JSON.stringify(call.input).replace('":', '": ')).join('');
  if (!isStream) {
    const answer = await generateText(options);
    return isCall ? args(answer.toolCalls) : answer.text;
  }
  let failure;
  const result = streamText({ ...options, onError: ({ error }) => (failure = error) });
  let text = '';
  for await (const piece of result.textStream) text += piece;
  if (failure) throw failure;
  if (abortSignal.aborted) throw abortSignal.reason;
  return isCall ? args(await result.toolCalls) : text;
});
