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

export function openConversation(conversation) {
  stop();
  store.set({ current: conversation, panel: null, mode: "chat" });
}

export const startConversation = () => openConversation(newConversation());

export async function removeConversation(id) {
  await deleteConversation(id);
  store.set(({ conversations }) => ({ conversations: conversations.filter((entry) => entry.id !== id) }));
  if (store.get().current.id === id) store.set({ current: newConversation() });
}

export async function addConversations(added) {
  for (const conversation of added) await saveConversation(conversation);
  await start();
}
