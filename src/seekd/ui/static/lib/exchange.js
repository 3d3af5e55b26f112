// Conversations as files: JSON that can be read back whole, Markdown for people.
import { shownPath } from "./tree.js";

const FORMAT = "seekd-conversations";
const VERSION = 1;
const ROLES = ["user", "assistant", "tool"];

export const asJson = (conversations) => JSON.stringify({ format: FORMAT, version: VERSION, conversations }, null, 2);

/** The conversations of a file; throws an Error that says what is wrong with it. */
export function fromJson(text) {
  let data;
  try {
    data = JSON.parse(text);
  } catch {
    throw new Error("This file is not JSON.");
  }
  if (data?.format !== FORMAT) throw new Error("This file holds no conversations of a seekd playground.");
  if (data.version !== VERSION) throw new Error(`This file has version ${data.version}; version ${VERSION} can be read.`);
  if (!data.conversations?.every?.(isWhole)) throw new Error("A conversation of this file is damaged: a part of it is missing.");
  return data.conversations;
}

function isWhole({ id, title, tree, updatedMs } = {}) {
  if (typeof id !== "string" || typeof title !== "string" || typeof updatedMs !== "number" || !tree?.nodes) return false;
  const known = (node) => Object.hasOwn(tree.nodes, node);
  const nodes = Object.entries(tree.nodes);
  return (
    (tree.leaf === null || known(tree.leaf)) &&
    Boolean(tree.roots?.every?.(known)) &&
    nodes.every(([key, node]) => node.id === key && (node.parent === null || known(node.parent)) && Boolean(node.children?.every?.(known))) &&
    nodes.every(([, node]) => ROLES.includes(node.role) && typeof node.content === "string")
  );
}

/** The shown branch of a conversation. */
export function asMarkdown(conversation) {
  const parts = shownPath(conversation.tree).map((node) =>
    [`## ${node.role}`, quoted(node.reasoning), ...(node.toolCalls ?? []).map(callText), node.content].filter(Boolean).join("\n\n"),
  );
  return `# ${conversation.title}\n\n${parts.join("\n\n")}\n`;
}

const quoted = (text) => text && `> ${text.trim().replaceAll("\n", "\n> ")}`;
const callText = ({ function: called }) => `\`${called.name}\`\n\n\`\`\`json\n${called.arguments}\n\`\`\``;

/** Conversations in which a text stands, in any branch or in the title; all where it is empty. */
export function search(conversations, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return conversations;
  return conversations.filter(({ title, tree }) =>
    [title, ...Object.values(tree.nodes).map((node) => node.content)].some((part) => part.toLowerCase().includes(wanted)),
  );
}
