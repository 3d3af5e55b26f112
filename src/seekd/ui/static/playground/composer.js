// Where a message is written.
import { html } from "../vendor/preact.js";
import { fenced } from "../lib/format.js";
import { useStore } from "../lib/store.js";
import { send, stop } from "./answering.js";
import { ATTACH } from "./icons.js";
import { say, store, useWords } from "./state.js";

const FILE_LIMIT_BYTES = 1_000_000;
const MOST_ROWS = 12;

export function Composer() {
  const words = useWords();
  const draft = useStore(store, (state) => state.draft);
  const isBusy = useStore(store, ({ running }) => running !== null);
  const submit = (event) => {
    event.preventDefault();
    if (draft.trim() && !isBusy) send(draft);
  };
  const onKeyDown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
  };
  const attach = async ({ target }) => {
    const [file] = target.files;
    if (file && file.size > FILE_LIMIT_BYTES) say(words("too_large", { name: file.name, limit: FILE_LIMIT_BYTES }));
    else if (file) {
      const text = await file.text();
      store.set((state) => ({ draft: [state.draft, fenced(file.name, text)].filter(Boolean).join("\n\n") }));
    }
    target.value = "";
    document.getElementById("message").focus();
  };
  return html`<form class="composer" onSubmit=${submit}>
    <label class="button attach" title=${words("attach")}>
      ${ATTACH}<input type="file" aria-label=${words("attach")} onChange=${attach} />
    </label>
    <textarea id="message" rows=${Math.min(MOST_ROWS, draft.split("\n").length)} placeholder=${words("message")} aria-label=${words("message")}
      aria-describedby="hint" autofocus value=${draft} onInput=${(event) => store.set({ draft: event.target.value })} onKeyDown=${onKeyDown}></textarea>
    ${isBusy
      ? html`<button key="stop" type="button" class="primary" onClick=${stop}>${words("stop")}</button>`
      : html`<button key="send" class="primary" disabled=${!draft.trim()}>${words("send")}</button>`}
    <p id="hint" class="hint">${words("hint")}</p>
  </form>`;
}
