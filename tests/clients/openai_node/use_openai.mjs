// The official OpenAI client for Node.js.
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { zodFunction, zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { FORECAST, GREETING, KEY, LIMITED_MODEL, MODEL_URL, PARAMETERS, REASONING, run, URL } from '../checks.mjs';

const client = new OpenAI({ apiKey: KEY, baseURL: `${URL}/v1`, maxRetries: 0 });
const HELLO = [{ role: 'user', content: 'Hello, how are you?' }];
const ASK = [{ role: 'user', content: "What's the weather like in New York?" }];
const WEATHER = { name: 'get_weather', description: 'Get current weather', parameters: PARAMETERS };
const TOOLS = [{ type: 'function', function: WEATHER }];

// Short texts and bounded numbers, so that a small model comes to an end.
const Short = z.string().max(12);
const Small = z.int().min(1).max(9);
const Fruit = z.object({ name: Short, weight: Small });
const Tree = z.object({ name: Short, get children() { return z.array(Tree); } });
const Cat = z.object({ kind: z.literal('cat'), lives: Small });
const Dog = z.object({ kind: z.literal('dog'), name: Short });
const SCHEMAS = {
  nested: z.object({ fruits: z.array(Fruit), best: Fruit.meta({ id: 'Best' }) }),
  recursive: Tree,
  linked: z.object({ name: Short, tree: Tree.nullable() }),
  optional: z.object({ nickname: Short.nullable(), fruit: Fruit.nullable(), age: Small.nullish() }),
  union: z.object({ pet: z.discriminatedUnion('kind', [Cat, Dog]), tag: z.union([Small, Short]) }),
  literals: z.object({ size: z.enum(['S', 'M', 'L']), only: z.literal('x'), mixed: z.literal([1, 'two', true]), none: z.null() }),
  constrained: z.object({
    pair: z.array(Short).length(2),
    code: z.string().length(3),
    word: z.string().regex(/^[a-z]{1,8}$/),
    step: z.int().positive().max(30).multipleOf(3),
    part: z.number().min(0).lt(1),
    mail: z.email(),
    id: z.uuid(),
    day: z.iso.date(),
    at: z.iso.datetime(),
    empty: z.object({}),
  }),
};
const LEAF = [{ role: 'user', content: 'name: oak, children: [], tree: null' }];

const create = (options = {}) =>
  client.chat.completions.create({ model: 'deepseek-chat', messages: HELLO, ...options });

await run({
  'whole answer and usage': async () => {
    const answer = await create();
    assert.equal(answer.choices[0].message.content, GREETING);
    assert.equal(answer.choices[0].finish_reason, 'stop');
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  },
  stream: async () => {
    let text = '';
    let last;
    for await (const chunk of await create({ stream: true, stream_options: { include_usage: true } })) {
      text += chunk.choices[0].delta.content ?? '';
      last = chunk;
    }
    assert.equal(text, GREETING);
    assert.equal(last.choices[0].finish_reason, 'stop');
    assert.ok(last.usage.completion_tokens > 0);
  },
  thinking: async () => {
    const answer = await create({ model: 'deepseek-reasoner' });
    assert.equal(answer.choices[0].message.reasoning_content, REASONING);
    let reasoning = '';
    for await (const chunk of await create({ model: 'deepseek-reasoner', stream: true })) {
      reasoning += chunk.choices[0].delta.reasoning_content ?? '';
    }
    assert.equal(reasoning, REASONING);
  },
  'tools round trip': async () => {
    const { message, finish_reason } = (await create({ messages: ASK, tools: TOOLS })).choices[0];
    assert.equal(finish_reason, 'tool_calls');
    const [call] = message.tool_calls;
    assert.equal(call.function.name, 'get_weather');
    assert.deepEqual(JSON.parse(call.function.arguments), { location: 'New York' });
    const result = { role: 'tool', tool_call_id: call.id, content: 'sunny' };
    const after = await create({ messages: [...ASK, message, result], tools: TOOLS });
    assert.equal(after.choices[0].message.content, FORECAST);
  },
  'stream helper builds the message': async () => {
    const stream = client.chat.completions.stream({ model: 'deepseek-chat', messages: ASK, tools: TOOLS });
    const message = await stream.finalMessage();
    assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments), { location: 'New York' });
  },
  'legacy functions': async () => {
    const answer = await create({ messages: ASK, functions: [WEATHER], function_call: 'auto' });
    assert.equal(answer.choices[0].finish_reason, 'function_call');
    assert.equal(answer.choices[0].message.function_call.name, 'get_weather');
    let received = '';
    for await (const chunk of await create({ messages: ASK, functions: [WEATHER], stream: true })) {
      received += chunk.choices[0].delta.function_call?.arguments ?? '';
    }
    assert.deepEqual(JSON.parse(received), { location: 'New York' });
  },
  models: async () => {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    assert.ok(names.includes('deepseek-chat'));
  },
  'the bundled model': async () => {
    const bundled = new OpenAI({ apiKey: KEY, baseURL: `${MODEL_URL}/v1`, maxRetries: 0 });
    const options = { model: 'deepseek-chat', messages: HELLO, max_tokens: 40 };
    assert.ok((await bundled.chat.completions.create(options)).choices[0].message.content);
    let text = '';
    for await (const chunk of await bundled.chat.completions.create({ ...options, stream: true })) {
      text += chunk.choices[0].delta.content ?? '';
    }
    assert.ok(text);
  },
  'parsed answers are of their schemas': async () => {
    const bundled = new OpenAI({ apiKey: KEY, baseURL: `${MODEL_URL}/v1`, maxRetries: 0 });
    const options = { model: 'deepseek-chat', temperature: 0 };
    for (const [name, schema] of Object.entries(SCHEMAS)) {
      const answer = await bundled.chat.completions.parse({
        ...options, messages: LEAF, max_tokens: 1000, response_format: zodResponseFormat(schema, name),
      });
      schema.parse(answer.choices[0].message.parsed);
      const response = await bundled.responses.parse({
        ...options, input: LEAF, max_output_tokens: 1000, text: { format: zodTextFormat(schema, name) },
      });
      schema.parse(response.output_parsed);
    }
  },
  'parsed arguments are of their schemas': async () => {
    const bundled = new OpenAI({ apiKey: KEY, baseURL: `${MODEL_URL}/beta`, maxRetries: 0 });
    for (const name of ['nested', 'linked', 'optional']) {
      const tools = [zodFunction({ name, parameters: SCHEMAS[name] })];
      const answer = await bundled.chat.completions.parse({
        model: 'deepseek-chat', messages: LEAF, temperature: 0, tools, tool_choice: 'required',
      });
      SCHEMAS[name].parse(answer.choices[0].message.tool_calls[0].function.parsed_arguments);
    }
  },
  'errors are the documented classes': async () => {
    const thrown = (promise) =>
      promise.then(() => assert.fail('nothing was thrown'), (error) => error);
    const unknown = await thrown(create({ model: 'no-such-model' }));
    assert.ok(unknown instanceof OpenAI.BadRequestError);
    assert.equal(unknown.code, 'model_not_found');
    const first = await create({ model: LIMITED_MODEL }).catch((error) => error);
    // The first of a minute is let in, unless another client was the first.
    const limited = first instanceof Error ? first : await thrown(create({ model: LIMITED_MODEL }));
    assert.ok(limited instanceof OpenAI.RateLimitError);
    const stranger = new OpenAI({ apiKey: 'sk-0000', baseURL: `${URL}/v1`, maxRetries: 0 });
    assert.ok((await thrown(stranger.models.list())) instanceof OpenAI.AuthenticationError);
    const busy = await thrown(create({ messages: [{ role: 'user', content: 'fail at once' }] }));
    assert.ok(busy instanceof OpenAI.InternalServerError);
  },
  'a failure in a stream is thrown': async () => {
    const stream = await create({ messages: [{ role: 'user', content: 'fail later' }], stream: true });
    let text = '';
    await assert.rejects(async () => {
      for await (const chunk of stream) text += chunk.choices[0].delta.content ?? '';
    }, OpenAI.APIError);
    assert.equal(text, 'Hel');
  },
});
