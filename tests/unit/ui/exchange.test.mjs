import assert from "node:assert/strict";
import test from "node:test";

const { addNode, emptyTree } = await import(`${process.env.STATIC}/lib/tree.js`);
const { asJson, asMarkdown, fromJson, search } = await import(`${process.env.STATIC}/lib/exchange.js`);

function conversation() {
  let tree = addNode(emptyTree(), null, { id: "a", role: "user", content: "What is 1 + 1?" });
  tree = addNode(tree, "a", { id: "x", role: "assistant", content: "Three" });
  const toolCalls = [{ id: "1", function: { name: "add", arguments: "{}" } }];
  tree = addNode(tree, "a", { id: "b", role: "assistant", content: "Two", reasoning: "one\nand one", toolCalls });
  return { id: "1", title: "Sums", tree, updatedMs: 5 };
}

test("what is written can be read back whole", () => {
  assert.deepEqual(fromJson(asJson([conversation()])), [conversation()]);
});

test("a file that is something else says so", () => {
  assert.throws(() => fromJson("no"), /not JSON/);
  assert.throws(() => fromJson("[]"), /no conversations/);
  assert.throws(() => fromJson('{"format": "seekd-conversations", "version": 2}'), /version 2/);
  assert.throws(() => fromJson('{"format": "seekd-conversations", "version": 1}'), /damaged/);
});

for (const [name, damage] of Object.entries({
  "a shown message that is missing": (tree) => (tree.leaf = "gone"),
  "a root that is missing": (tree) => tree.roots.push("gone"),
  "a parent that is missing": (tree) => (tree.nodes.b.parent = "gone"),
  "a child that is missing": (tree) => tree.nodes.a.children.push("gone"),
  "a role that nobody has": (tree) => (tree.nodes.a.role = "<b>"),
  "a content that is no text": (tree) => (tree.nodes.a.content = null),
  "a message under another id": (tree) => (tree.nodes.a.id = "z"),
})) {
  test(`${name} is refused`, () => {
    const broken = conversation();
    damage(broken.tree);
    assert.throws(() => fromJson(asJson([broken])), /damaged/);
  });
}

test("Markdown has the shown branch, with reasoning and calls", () => {
  assert.equal(
    asMarkdown(conversation()),
    "# Sums\n\n## user\n\nWhat is 1 + 1?\n\n## assistant\n\n> one\n> and one\n\n`add`\n\n```json\n{}\n```\n\nTwo\n",
  );
});

test("search looks at the title and at every branch", () => {
  const all = [conversation()];
  for (const text of ["", "sums", "THREE", " two "]) assert.deepEqual(search(all, text), all, text);
  assert.deepEqual(search(all, "four"), []);
});
