// The conversations of this browser.
import { html, useRef, useState } from "../vendor/preact.js";
import { asJson, asMarkdown, fromJson, search } from "../lib/exchange.js";
import { useStore } from "../lib/store.js";
import { asHtmlFile } from "../lib/share.js";
import { addConversations, openConversation, removeConversation, startConversation } from "./conversations.js";
import { CLOSE } from "./icons.js";
import { say, store, useWords } from "./state.js";

export function Sidebar() {
  const words = useWords();
  const conversations = useStore(store, (state) => state.conversations);
  const currentId = useStore(store, ({ current }) => current.id);
  const [wanted, setWanted] = useState("");
  return html`<nav class="sidebar" aria-label=${words("conversations")}>
    <button class="primary" onClick=${startConversation}>${words("new_conversation")}</button>
    <input type="search" placeholder=${words("search")} aria-label=${words("search")} value=${wanted} onInput=${(event) => setWanted(event.target.value)} />
    <ul>
      ${search(conversations, wanted).map(
        ({ id, title }) => html`<li key=${id} class=${id === currentId ? "chosen" : ""}>
          <button class="title" aria-current=${id === currentId} onClick=${() => openConversation(id)}>${title || "…"}</button>
          <button class="bare" aria-label="${words("delete")}: ${title}" onClick=${() => removeConversation(id)}>${CLOSE}</button>
        </li>`,
      )}
    </ul>
    <${Files} conversations=${conversations} />
  </nav>`;
}

function Files({ conversations }) {
  const words = useWords();
  const file = useRef(null);
  const isEmpty = useStore(store, ({ current }) => current.tree.leaf === null);
  const current = () => store.get().current;
  const share = async () => {
    const names = { user: words("you"), assistant: words("assistant"), tool: words("tool"), reasoning: words("reasoning") };
    download("conversation.html", await asHtmlFile(current(), { names, language: store.get().language }), "text/html");
  };
  const read = async ({ target }) => {
    const [chosen] = target.files;
    try {
      await addConversations(fromJson(await chosen.text()));
    } catch (error) {
      say(error.message);
    }
    target.value = "";
  };
  return html`<div class="files">
    <button disabled=${isEmpty} onClick=${share}>${words("share")}</button>
    <button disabled=${isEmpty} onClick=${() => download("conversation.md", asMarkdown(current()), "text/markdown")}>${words("export_markdown")}</button>
    <button disabled=${!conversations.length} onClick=${() => download("conversations.json", asJson(conversations), "application/json")}>${words("export_json")}</button>
    <button onClick=${() => file.current.click()}>${words("import")}</button>
    <input ref=${file} type="file" accept="application/json" hidden aria-label=${words("import")} onChange=${read} />
  </div>`;
}

function download(name, text, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
