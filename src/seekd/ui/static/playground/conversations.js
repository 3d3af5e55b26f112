// The conversations of this browser.
import { deleteConversation, loadConversations, saveConversation } from "../lib/db.js";
import { translator } from "../lib/i18n.js";
import { stop } from "./answering.js";
import { newConversation, say, store } from "./state.js";

/** Load what was kept. */
export async function start() {
  try {
    store.set({ conversations: await loadConversations() });
  } catch {
    say(translator(store.get().language)("no_storage"));
  }
}

/** Show a conversation as it was kept last. */
export function openConversation(id) {
  stop();
  const current = store.get().conversations.find((entry) => entry.id === id) ?? newConversation();
  store.set({ current, panel: null, mode: "chat" });
}

export const startConversation = () => openConversation(null);

export async function removeConversation(id) {
  if (store.get().current.id === id) startConversation();
  await deleteConversation(id);
  store.set(({ conversations }) => ({ conversations: conversations.filter((entry) => entry.id !== id) }));
}

export async function addConversations(added) {
  for (const conversation of added) await saveConversation(conversation);
  await start();
}
