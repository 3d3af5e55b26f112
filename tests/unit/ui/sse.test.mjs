import assert from "node:assert/strict";
import test from "node:test";

const { createEventReader } = await import(`${process.env.STATIC}/lib/sse.js`);

const STREAM = ': keep-alive\n\ndata: {"a":"é"}\n\nevent: x\r\ndata: one\r\ndata:two\r\n\r\n: x-seekd-cost: 0.02 CNY\n\ndata: [DONE]\n\n';
const EVENTS = [{ comment: "keep-alive" }, { data: '{"a":"é"}' }, { data: "one\ntwo" }, { comment: "x-seekd-cost: 0.02 CNY" }, { data: "[DONE]" }];

test("a stream is read whole", () => assert.deepEqual(createEventReader()(STREAM), EVENTS));

test("a stream is read sign by sign", () => {
  const read = createEventReader();
  assert.deepEqual([...STREAM].flatMap(read), EVENTS);
});

test("a stream is read in any two pieces", () => {
  for (let cut = 0; cut <= STREAM.length; cut += 1) {
    const read = createEventReader();
    assert.deepEqual([...read(STREAM.slice(0, cut)), ...read(STREAM.slice(cut))], EVENTS, `cut at ${cut}`);
  }
});

test("what is not whole is not told", () => assert.deepEqual(createEventReader()("data: half\n"), []));
