// Everything that asks the server for an answer.
import { emptyAnswer, withChunk } from "../lib/answer.js";
import { stream } from "../lib/api.js";
import { newId } from "../lib/browser.js";
import { saveConversation } from "../lib/db.js";
import { titleOf } from "../lib/format.js";
import { chatRequest, fillRequest } from "../lib/requests.js";
import { addNode, changeNode, openPath, pathTo } from "../lib/tree.js";
import { say, setFill, store } from "./state.js";

const tree = () => store.get().current.tree;
const setTree = (next) => store.set(({ current }) => ({ current: { ...current, tree: next, updatedMs: Date.now() } }));

/** Write the shown conversation down. It stays on the page where the browser keeps nothing. */
function keep() {
  const { current } = store.get();
  store.set(({ conversations }) => ({ conversations: [current, ...conversations.filter(({ id }) => id !== current.id)] }));
  saveConversation(current).catch((error) => say(error.message));
}

/** The request that sending the draft would make; throws an Error for options that cannot be read. */
export function nextRequest({ current, draft, fill, mode, options }) {
  if (mode === "fill") return fillRequest(fill, options);
  const path = openPath(current.tree);
  return chatRequest(draft.trim() || !path.length ? [...path, { role: "user", content: draft }] : path, options);
}

function optionsCanBeRead() {
  try {
    chatRequest([], store.get().options);
    return true;
  } catch (error) {
    say(error.message);
    return false;
  }
}

/** Put a message at the end of the shown path and answer it. */
export function send(content) {
  if (store.get().running || !optionsCanBeRead()) return;
  store.set(({ current }) => ({ draft: "", current: { ...current, title: current.title || titleOf(content) } }));
  answer(addMessage(tree().leaf, { role: "user", content }));
}

/** Put another wording beside a message of the user, and answer that. */
export const editMessage = (id, content) => answer(addMessage(tree().nodes[id].parent, { role: "user", content }));

/** Answer the message before an answer once more, in a branch of its own. */
export const answerAgain = (id) => answer(tree().nodes[id].parent);

/** Give the results of an answer's tool calls, as `[id, text]`, and go on. */
export function sendResults(id, results) {
  answer(results.reduce((parent, [toolCallId, content]) => addMessage(parent, { role: "tool", content, toolCallId }), id));
}

export const showTree = (next) => {
  setTree(next);
  keep();
};

function addMessage(parent, message) {
  const id = newId();
  setTree(addNode(tree(), parent, { id, ...message }));
  return id;
}

/** Answer a message. */
function answer(parent) {
  const { options } = store.get();
  if (!optionsCanBeRead()) return;
  const request = chatRequest(pathTo(tree(), parent), options);
  const id = addMessage(parent, { role: "assistant", content: "", model: options.model });
  keep();
  const show = ({ content, reasoning, toolCalls, ...facts }, change) =>
    setTree(changeNode(tree(), id, { content: options.prefix + content, reasoning, toolCalls, answer: facts, ...change }));
  run(id, request, { show, onEnd: keep });
}

/** Write the text between two others. */
export function fillIn() {
  const { fill, options, running } = store.get();
  if (running) return;
  const show = (answer, change) => setFill({ answer, error: "", ...change });
  run("fill", fillRequest(fill, options), { show, onEnd: () => {} });
}

/**
 * Run one request. `show` is given the answer as it grows, at most once a frame, and at the end what else is to be said.
 * Stopping ends it at once; nothing that comes later is shown.
 */
async function run(id, request, { show, onEnd }) {
  const controller = new AbortController();
  let answer = emptyAnswer(performance.now());
  const draw = onceAFrame(() => store.get().running?.id === id && show(answer, {}));
  const end = (change) => {
    if (store.get().running?.id !== id) return;
    answer = { ...answer, endedMs: answer.endedMs ?? performance.now() };
    show(answer, change);
    store.set({ running: null });
    onEnd();
  };
  store.set({ running: { id, controller, end }, notice: "" });
  show(answer, {});
  try {
    end(
      await stream(request, {
        signal: controller.signal,
        onChunk(chunk) {
          answer = withChunk(answer, chunk, performance.now());
          draw();
        },
      }),
    );
  } catch (error) {
    if (error.status === 401) store.set({ keyState: "needed" });
    end({ error: error.message });
  }
}

/** End what is being answered; what has come of it stays. */
export function stop() {
  const { running } = store.get();
  running?.end({ isStopped: true });
  running?.controller.abort();
}

function onceAFrame(draw) {
  let frame = null;
  return () => {
    frame ??= requestAnimationFrame(() => {
      frame = null;
      draw();
    });
  };
}
