// Small pure modules: formatting, maths, words, code in colours, snippets.
import assert from "node:assert/strict";
import test from "node:test";

const load = (name) => import(`${process.env.STATIC}/lib/${name}.js`);
const { confidence, fenced, percent, prettyJson, seconds, titleOf } = await load("format");
const { findMaths, findMathsBlock } = await load("maths");
const { LANGUAGES, translator, wordKeys } = await load("i18n");
const { colouredHtml } = await load("code");
const { asCurl, asNode, asPython } = await load("snippets");

test("numbers as people read them", () => {
  assert.deepEqual([seconds(1.234), seconds(12.6), percent(0.0123), percent(0.5)], ["1.23 s", "13 s", "1.2 %", "50 %"]);
  assert.deepEqual([0, -0.3, -0.9, -2, -9].map(confidence), [4, 3, 2, 1, 0]);
});

test("a title is the first line, cut", () => {
  assert.equal(titleOf("\n One\nTwo"), "One");
  assert.equal(titleOf("x".repeat(70)).length, 60);
});

test("only objects and arrays of JSON are laid out", () => {
  assert.equal(prettyJson(' {"a":1}'), '{\n  "a": 1\n}');
  assert.deepEqual([prettyJson("12"), prettyJson("[1] is a list"), prettyJson("")], [null, null, null]);
});

test("a file stands in a fence that it cannot end", () => {
  assert.equal(fenced("a.md", "```js\n```\n"), "a.md:\n````\n```js\n```\n````");
});

test("maths is found, prices are not", () => {
  assert.deepEqual(findMaths("$x^2$ is"), { raw: "$x^2$", text: "x^2", isDisplay: false });
  assert.deepEqual(findMaths("\\(a_b\\)"), { raw: "\\(a_b\\)", text: "a_b", isDisplay: false });
  assert.equal(findMaths("$$a\n=b$$").isDisplay, true);
  for (const text of ["$5 and $6", "$ x$", "no $x$", "$x$5"]) assert.equal(findMaths(text), undefined, text);
  assert.equal(findMathsBlock("$$\nx\n$$\nText").text, "x");
  assert.equal(findMathsBlock("\\[x\\] and"), undefined);
});

test("every language has the same words, and names of what is missing are errors", () => {
  for (const language of LANGUAGES) assert.deepEqual(wordKeys(language).sort(), wordKeys("en").sort());
  assert.equal(translator("en")("branch", { number: 1, total: 2 }), "Branch 1 of 2");
  assert.throws(() => translator("en")("nothing"), /no words for nothing/);
});

test("known languages are coloured, others are not", async () => {
  assert.match(await colouredHtml("if x:", "py"), /hljs-keyword/);
  assert.match(await colouredHtml("<b>", "HTML"), /&lt;/);
  assert.equal(await colouredHtml("<b>", "nothing"), null);
  assert.equal(await colouredHtml("<b>", "../x"), null);
});

const REQUEST = {
  path: "/beta/chat/completions",
  body: { model: "m", messages: [{ role: "user", content: "It's \"so\"\n" }], thinking: { type: "enabled" }, stream: true },
};

test("curl quotes what a shell would take", () => {
  assert.match(asCurl(REQUEST, "http://h"), /^curl http:\/\/h\/beta\/chat\/completions/);
  assert.ok(asCurl(REQUEST, "http://h").includes(String.raw`It'\''s \"so\"\n`));
});

test("Python has its own words, and puts what its SDK does not know beside", () => {
  const text = asPython(REQUEST, "http://h");
  for (const part of ['base_url="http://h/beta"', "client.chat.completions.create(", "    stream=True,", 'extra_body={"thinking": {"type": "enabled"}},']) {
    assert.ok(text.includes(part), part);
  }
});

test("Node gets the body, completions are read as text", () => {
  assert.match(asNode({ path: "/beta/completions", body: { prompt: "a" } }, "http://h"), /client\.completions\.create\([\s\S]*\.text/);
  assert.match(asNode(REQUEST, "http://h"), /delta\?\.content/);
});
