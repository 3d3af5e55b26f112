import assert from "node:assert/strict";
import test from "node:test";

const { addNode, changeNode, emptyTree, openPath, pathTo, showBranch, shownPath, siblings } = await import(`${process.env.STATIC}/lib/tree.js`);

const node = (id, role = "user") => ({ id, role, content: id });
const ids = (path) => path.map(({ id }) => id).join("");

function twoBranches() {
  let tree = addNode(emptyTree(), null, node("a"));
  tree = addNode(tree, "a", node("b", "assistant"));
  tree = addNode(tree, "b", node("c"));
  return addNode(tree, "a", node("d", "assistant"));
}

test("a new message is the end of the shown path", () => {
  assert.equal(ids(shownPath(twoBranches())), "ad");
  assert.deepEqual(shownPath(emptyTree()), []);
});

test("branches stand beside each other, and each leads to its newest end", () => {
  const tree = twoBranches();
  assert.deepEqual(siblings(tree, "b"), ["b", "d"]);
  assert.equal(ids(shownPath(showBranch(tree, "b"))), "abc");
  assert.equal(ids(pathTo(tree, "b")), "ab");
});

test("another first message is a branch too", () => {
  const tree = addNode(twoBranches(), null, node("e"));
  assert.deepEqual(siblings(tree, "a"), ["a", "e"]);
  assert.equal(ids(shownPath(tree)), "e");
});

test("what would be asked again ends before the answer", () => {
  assert.equal(ids(openPath(twoBranches())), "a");
  assert.equal(ids(openPath(showBranch(twoBranches(), "b"))), "abc");
});

test("a change leaves the old tree as it was", () => {
  const tree = twoBranches();
  assert.equal(changeNode(tree, "a", { content: "new" }).nodes.a.content, "new");
  assert.equal(tree.nodes.a.content, "a");
  assert.equal(changeNode(tree, "gone", {}), tree);
});
