// A conversation is a tree: editing a message or answering it again opens a branch beside the old one.

/** An empty conversation. */
export const emptyTree = () => ({ nodes: {}, roots: [], leaf: null });

/** The tree with a message below `parent` (null for a first one), which becomes the end of the shown path. */
export function addNode(tree, parent, node) {
  const nodes = { ...tree.nodes, [node.id]: { ...node, parent, children: [] } };
  if (parent === null) return { nodes, roots: [...tree.roots, node.id], leaf: node.id };
  nodes[parent] = { ...nodes[parent], children: [...nodes[parent].children, node.id] };
  return { ...tree, nodes, leaf: node.id };
}

/** The tree with some members of a message changed. */
export function changeNode(tree, id, change) {
  if (!tree.nodes[id]) return tree;
  return { ...tree, nodes: { ...tree.nodes, [id]: { ...tree.nodes[id], ...change } } };
}

/** The messages from the first to the one of this id. */
export function pathTo(tree, last) {
  const path = [];
  for (let id = last; id !== null; id = tree.nodes[id].parent) path.push(tree.nodes[id]);
  return path.reverse();
}

/** The messages that are shown. */
export const shownPath = (tree) => pathTo(tree, tree.leaf);

/** The ids of a message and of those that stand in its place in other branches, in the order they were made. */
export function siblings(tree, id) {
  const { parent } = tree.nodes[id];
  return parent === null ? tree.roots : tree.nodes[parent].children;
}

/** The tree showing the branch that goes through a message, down its newest children. */
export function showBranch(tree, id) {
  let leaf = id;
  while (tree.nodes[leaf].children.length) leaf = tree.nodes[leaf].children.at(-1);
  return { ...tree, leaf };
}

/** The shown messages without answers at their end: what would be asked again. */
export function openPath(tree) {
  const path = shownPath(tree);
  return path.slice(0, path.findLastIndex(({ role }) => role !== "assistant") + 1);
}
