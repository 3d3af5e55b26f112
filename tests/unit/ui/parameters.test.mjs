import assert from "node:assert/strict";
import test from "node:test";

const { PARAMETERS, parametersOf, rangeOf, readParameter, readStops } = await import(`${process.env.STATIC}/lib/parameters.js`);

const named = (name) => PARAMETERS.find((parameter) => parameter.name === name);

test("a number within the range is taken, with its ends", () => {
  assert.deepEqual(["0", "2", "1.25", " 1 "].map((text) => readParameter(named("temperature"), text)), [0, 2, 1.25, 1]);
});

test("an empty field leaves a parameter out", () => assert.equal(readParameter(named("seed"), "  "), null));

test("anything else is no value", () => {
  for (const text of ["2.1", "-0.1", "warm", "1e999"]) assert.equal(readParameter(named("temperature"), text), undefined, text);
  assert.equal(readParameter(named("max_tokens"), "1.5"), undefined);
  assert.equal(readParameter(named("top_p"), "0"), undefined);
});

test("an answer is no longer than the model can write", () => {
  const most = (model) => parametersOf(model).find(({ name }) => name === "max_tokens").max;
  assert.deepEqual([most({ max_output_tokens: 8192 }), most(undefined)], [8192, 393216]);
});

test("ranges in words", () => {
  assert.equal(rangeOf(named("temperature")), "0 … 2");
  assert.equal(rangeOf(named("seed")), "≥ 0");
});

test("stop texts are lines, at most sixteen", () => {
  assert.deepEqual(readStops("a\n\n b\n"), ["a", " b"]);
  assert.equal(readStops("x\n".repeat(20)).length, 16);
});
