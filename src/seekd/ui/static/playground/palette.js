// Every command by its name: Ctrl+K.
import { html, useLayoutEffect, useRef, useState } from "../vendor/preact.js";
import { savedKey } from "../lib/api.js";
import { useStore } from "../lib/store.js";
import { stop } from "./answering.js";
import { openConversation, startConversation } from "./conversations.js";
import { forgetKey, setOptions, showPanel, store, switchLanguage, switchTheme, useWords } from "./state.js";

function commands(words, { models, conversations }) {
  return [
    { label: words("new_conversation"), run: startConversation },
    { label: words("stop"), run: stop },
    { label: words("chat"), run: () => store.set({ mode: "chat" }) },
    { label: words("fill_middle"), run: () => store.set({ mode: "fill" }) },
    { label: words("theme"), run: switchTheme },
    { label: words("language"), run: switchLanguage },
    ...(savedKey() ? [{ label: words("forget_key"), run: forgetKey }] : []),
    ...models.map(({ id }) => ({ label: `${words("model")}: ${id}`, run: () => setOptions({ model: id }) })),
    ...conversations.map((entry) => ({ label: entry.title, run: () => openConversation(entry.id) })),
  ];
}

export function Palette() {
  const words = useWords();
  const state = useStore(store);
  const dialog = useRef(null);
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  useLayoutEffect(() => dialog.current.showModal(), []); // before the next key: what is typed at once belongs to it
  const fitting = commands(words, state).filter(({ label }) => label.toLowerCase().includes(text.toLowerCase()));
  const run = (command) => {
    showPanel(null);
    command.run();
  };
  const onInput = (event) => {
    setText(event.target.value);
    setAt(0);
  };
  const onKeyDown = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) setAt((at + step + fitting.length) % Math.max(1, fitting.length));
    else if (event.key === "Enter" && fitting[at]) run(fitting[at]);
    else return;
    event.preventDefault();
  };
  return html`<dialog class="palette" ref=${dialog} aria-label=${words("palette")} onClose=${() => showPanel(null)} onKeyDown=${onKeyDown}>
    <input role="combobox" aria-label=${words("palette")} aria-expanded="true" aria-controls="commands" aria-activedescendant="command-${at}"
      placeholder=${words("palette")} value=${text} onInput=${onInput} />
    <ul id="commands" role="listbox" aria-label=${words("palette")}>
      ${fitting.map(
        (command, index) => html`<li id="command-${index}" role="option" aria-selected=${index === at} onClick=${() => run(command)}>${command.label}</li>`,
      )}
    </ul>
  </dialog>`;
}
