// The Vercel AI SDK with its DeepSeek provider.
import assert from 'node:assert/strict';
import { createDeepSeek } from '@ai-sdk/deepseek';
import { APICallError, generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { FORECAST, GREETING, KEY, LIMITED_MODEL, MODEL_URL, REASONING, run, URL } from '../checks.mjs';

const deepseek = createDeepSeek({ apiKey: KEY, baseURL: `${URL}/v1` });
const generate = (options) => generateText({ model: deepseek('deepseek-chat'), maxRetries: 0, ...options });
const ASK = "What's the weather like in New York?";
const tools = {
  get_weather: tool({
    description: 'Get current weather',
    inputSchema: z.object({ location: z.string() }),
    execute: async ({ location }) => {
      assert.equal(location, 'New York');
      return 'sunny';
    },
  }),
};

await run({
  'whole answer and usage': async () => {
    const answer = await generate({ prompt: 'Hello, how are you?' });
    assert.equal(answer.text, GREETING);
    assert.equal(answer.finishReason, 'stop');
    assert.ok(answer.usage.outputTokens >= GREETING.length);
    assert.equal(answer.providerMetadata.deepseek.promptCacheHitTokens, 0);
    assert.equal(answer.providerMetadata.deepseek.promptCacheMissTokens, answer.usage.inputTokens);
  },
  stream: async () => {
    const result = streamText({ model: deepseek('deepseek-chat'), prompt: 'Hello!', maxRetries: 0 });
    let text = '';
    for await (const piece of result.textStream) text += piece;
    assert.equal(text, GREETING);
    assert.ok((await result.usage).outputTokens >= GREETING.length);
  },
  thinking: async () => {
    const answer = await generate({ model: deepseek('deepseek-reasoner'), prompt: 'Hello!' });
    assert.equal(answer.reasoningText, REASONING);
    const result = streamText({ model: deepseek('deepseek-reasoner'), prompt: 'Hello!', maxRetries: 0 });
    for await (const _ of result.textStream);
    assert.equal(await result.reasoningText, REASONING);
  },
  'tools round trip': async () => {
    const answer = await generate({ prompt: ASK, tools, stopWhen: stepCountIs(3) });
    assert.equal(answer.steps.length, 2);
    assert.equal(answer.text, FORECAST);
  },
  'tools round trip while thinking': async () => {
    const model = deepseek('deepseek-reasoner');
    const answer = await generate({ model, prompt: ASK, tools, stopWhen: stepCountIs(3) });
    assert.equal(answer.text, FORECAST);
  },
  'tools streamed': async () => {
    const model = deepseek('deepseek-chat');
    const result = streamText({ model, prompt: ASK, tools, stopWhen: stepCountIs(3), maxRetries: 0 });
    let text = '';
    for await (const piece of result.textStream) text += piece;
    assert.equal(text, FORECAST);
  },
  'the bundled model': async () => {
    const bundled = createDeepSeek({ apiKey: KEY, baseURL: `${MODEL_URL}/v1` });
    const answer = await generate({ model: bundled('deepseek-chat'), prompt: 'Hello!', maxOutputTokens: 40 });
    assert.ok(answer.text);
    assert.ok(answer.usage.outputTokens <= 40);
  },
  'errors carry the status': async () => {
    const status = async (options) => {
      try {
        await generate({ prompt: 'Hello!', ...options });
      } catch (error) {
        assert.ok(APICallError.isInstance(error), error.stack);
        return error.statusCode;
      }
      return 200;
    };
    assert.equal(await status({ model: deepseek('no-such-model') }), 400);
    const stranger = createDeepSeek({ apiKey: 'sk-0000', baseURL: `${URL}/v1` });
    assert.equal(await status({ model: stranger('deepseek-chat') }), 401);
    const first = await status({ model: deepseek(LIMITED_MODEL) });
    // The first of a minute is let in, unless another client was the first.
    assert.equal(first === 429 ? first : await status({ model: deepseek(LIMITED_MODEL) }), 429);
    assert.equal(await status({ prompt: 'fail at once' }), 503);
  },
});
