// What the playground knows, and the choices that a person makes. Components read the store and call the functions of
// this module, conversations.js and answering.js; nothing else changes it.
import { fetchModels, saveKey } from "../lib/api.js";
import { newId } from "../lib/browser.js";
import { translator } from "../lib/i18n.js";
import { firstLanguage, firstTheme, remember, shownTheme } from "../lib/preferences.js";
import { createStore, useStore } from "../lib/store.js";
import { emptyTree } from "../lib/tree.js";

export const newConversation = () => ({ id: newId(), title: "", tree: emptyTree(), updatedMs: Date.now() });

const OPTIONS = {
  model: "",
  system: "",
  parameters: {},
  stop: [],
  thinking: "auto",
  effort: "",
  format: "text",
  schema: '{\n  "type": "object",\n  "properties": {"answer": {"type": "string"}},\n  "required": ["answer"]\n}',
  tools: "",
  toolChoice: "auto",
  mocks: {}, // name of a function to the result that is put in for it
  prefix: "",
};

export const store = createStore({
  language: firstLanguage(),
  theme: firstTheme(),
  models: [],
  keyState: "unknown", // "unknown", "fine", "needed" or "wrong"
  notice: "",
  mode: "chat", // or "fill"
  options: OPTIONS,
  conversations: [],
  current: newConversation(),
  draft: "",
  fill: { before: "", after: "", answer: null, error: "" },
  running: null, // { id, controller, show } of what is being answered; see answering.js
  panel: null, // "settings", "menu", "palette" or null
});

/** The words function of the language that is shown. */
export const useWords = () => translator(useStore(store, languageOf));
const languageOf = ({ language }) => language;

export const setOptions = (change) => store.set(({ options }) => ({ options: { ...options, ...change } }));
export const setFill = (change) => store.set(({ fill }) => ({ fill: { ...fill, ...change } }));
export const say = (notice) => store.set({ notice });
export const showPanel = (panel) => store.set((state) => ({ panel: state.panel === panel ? null : panel }));

export function switchLanguage() {
  const language = store.get().language === "en" ? "zh" : "en";
  remember("language", language);
  store.set({ language });
}

export function switchTheme() {
  const theme = shownTheme(store.get().theme) === "dark" ? "light" : "dark";
  remember("theme", theme);
  store.set({ theme });
}

/** Ask for the models; the answer shows whether a key is needed. */
export async function refreshModels({ triedKey = false } = {}) {
  try {
    const models = await fetchModels();
    store.set({ models, keyState: "fine", notice: "" });
    if (!models.some(({ id }) => id === store.get().options.model)) setOptions({ model: models[0]?.id ?? "" });
  } catch (error) {
    if (error.status === 401) store.set({ keyState: triedKey ? "wrong" : "needed" });
    else say(error.message);
  }
}

export async function enterKey(key) {
  saveKey(key.trim());
  await refreshModels({ triedKey: true });
}

export async function forgetKey() {
  saveKey("");
  await refreshModels();
}
