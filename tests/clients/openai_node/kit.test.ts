// A program's own test in TypeScript, against `seekd serve --script weather.toml`; run by `node --test`.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import OpenAI from 'openai';
import type { ChatCompletionMessageParam } from 'openai/resources/chat/completions';

const url = process.env.SEEKD_URL!;
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'any', maxRetries: 0 });
const tools = [{ type: 'function' as const, function: { name: 'get_weather', parameters: { type: 'object' } } }];

// The program under test: asks, runs the tool that the model calls, and asks again.
async function forecast(question: string): Promise<string> {
  const messages: ChatCompletionMessageParam[] = [{ role: 'user', content: question }];
  for (;;) {
    const answer = await client.chat.completions.create({ model: 'deepseek-chat', messages, tools });
    const message = answer.choices[0].message;
    messages.push(message);
    if (!message.tool_calls) return message.content ?? '';
    for (const call of message.tool_calls) {
      messages.push({ role: 'tool', tool_call_id: call.id, content: 'sun, 21 degrees' });
    }
  }
}

beforeEach(() => fetch(`${url}/_seekd/reset`, { method: 'POST' }));

test('the tool is called and its result is told', async () => {
  assert.equal(await forecast('How is the weather in Paris?'), 'It is sunny in Paris.');
  const { requests } = await (await fetch(`${url}/_seekd/requests`)).json();
  assert.equal(requests.length, 2);
  assert.equal(requests[1].body.messages.at(-1).content, 'sun, 21 degrees');
});

test('a rule of this test alone', async () => {
  const reply = [{ when: { text: 'Hello' }, text: 'Hello yourself.' }];
  await fetch(`${url}/_seekd/replies`, { method: 'POST', body: JSON.stringify({ reply }) });
  assert.equal(await forecast('Hello'), 'Hello yourself.');
});

test('a limit is an error that says when to come back', async () => {
  await assert.rejects(forecast('Anything else'), (error: InstanceType<typeof OpenAI.APIError>) => {
    assert.equal(error.status, 429);
    assert.equal(error.headers?.get('retry-after'), '1');
    return true;
  });
});

test('a stream that is cut is an error', async () => {
  const headers = { 'X-Seekd-Fault': 'reset; after=1' };
  const body = { model: 'deepseek-chat', messages: [{ role: 'user' as const, content: 'weather' }], tools };
  await assert.rejects(async () => {
    for await (const _ of await client.chat.completions.create({ ...body, stream: true }, { headers }));
  });
});
