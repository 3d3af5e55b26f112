// The playground: a chat with this server, and everything that a request can say.
import { html, render, useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact.js";
import { useStore } from "../lib/store.js";
import { shownPath, siblings } from "../lib/tree.js";
import { stop } from "./answering.js";
import { Composer } from "./composer.js";
import { start } from "./conversations.js";
import { Fill } from "./fill.js";
import { MENU, SETTINGS, THEME } from "./icons.js";
import { Message } from "./message.js";
import { Palette } from "./palette.js";
import { Settings } from "./settings.js";
import { Sidebar } from "./sidebar.js";
import { enterKey, refreshModels, showPanel, store, switchLanguage, switchTheme, useWords } from "./state.js";

function Playground() {
  const language = useStore(store, (state) => state.language);
  const theme = useStore(store, (state) => state.theme);
  const panel = useStore(store, (state) => state.panel);
  const keyState = useStore(store, (state) => state.keyState);
  const notice = useStore(store, (state) => state.notice);
  const mode = useStore(store, (state) => state.mode);
  useEffect(() => {
    document.documentElement.lang = language;
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }, [language, theme]);
  const needsKey = keyState === "needed" || keyState === "wrong";
  return html`<div class="page ${panel ? `shows-${panel}` : ""}">
    <${Top} panel=${panel} mode=${mode} />
    <${Sidebar} />
    <main>
      ${needsKey ? html`<${KeyForm} isWrong=${keyState === "wrong"} />` : mode === "fill" ? html`<${Fill} />` : html`<${Chat} />`}
      ${notice && html`<p class="error notice" role="alert">${notice}</p>`}
    </main>
    <${Settings} />
    ${panel === "palette" && html`<${Palette} />`}
  </div>`;
}

function Top({ panel, mode }) {
  const words = useWords();
  const panelButton = (name, icon) =>
    html`<button class="narrow" aria-label=${words(name)} aria-expanded=${panel === name} onClick=${() => showPanel(name)}>${icon}</button>`;
  const modeButton = (name) => html`<button aria-pressed=${mode === name} onClick=${() => store.set({ mode: name })}>${words(name)}</button>`;
  return html`<header class="top">
    ${panelButton("menu", MENU)}
    <h1>seekd</h1>
    ${modeButton("chat")} ${modeButton("fill")}
    <span class="space"></span>
    <a href="/docs">${words("api")}</a>
    <button lang=${store.get().language === "en" ? "zh" : "en"} onClick=${switchLanguage}>${words("language")}</button>
    <button aria-label=${words("theme")} onClick=${switchTheme}>${THEME}</button>
    ${panelButton("settings", SETTINGS)}
  </header>`;
}

function Chat() {
  const words = useWords();
  const tree = useStore(store, ({ current }) => current.tree);
  const running = useStore(store, (state) => state.running);
  const place = useRef(null);
  const follows = useRef(true);
  useLayoutEffect(() => {
    if (follows.current) place.current.scrollTop = place.current.scrollHeight;
  }, [tree]);
  const onScroll = ({ target }) => {
    follows.current = target.scrollHeight - target.scrollTop - target.clientHeight < 40;
  };
  const path = shownPath(tree);
  return html`
    <div class="conversation" role="region" aria-label=${words("chat")} tabindex="0" ref=${place} onScroll=${onScroll}>
      ${path.map(
        (node) => html`<${Message} key=${node.id} node=${node} ids=${siblings(tree, node.id)} isLast=${node.id === tree.leaf} isRunning=${running?.id === node.id} isBusy=${running !== null} />`,
      )}
      ${!path.length && html`<p class="empty">${words("empty")}</p>`}
    </div>
    <p class="unseen" role="status">${running ? words("answering") : path.length ? words("answered") : ""}</p>
    <${Composer} />
  `;
}

function KeyForm({ isWrong }) {
  const words = useWords();
  const [key, setKey] = useState("");
  const submit = (event) => {
    event.preventDefault();
    enterKey(key);
  };
  return html`<form class="key" onSubmit=${submit}>
    <p role="status">${words(isWrong ? "key_wrong" : "key_needed")}</p>
    <label>${words("key")} <input type="password" autocomplete="off" value=${key} onInput=${(event) => setKey(event.target.value)} /></label>
    <button class="primary">${words("save")}</button>
  </form>`;
}

addEventListener("keydown", (event) => {
  const isWriting = event.target.closest?.("input, textarea, select");
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    showPanel("palette");
  } else if (event.key === "Escape") {
    if (store.get().panel === null) stop();
    else showPanel(null);
  } else if (event.key === "/" && !isWriting && document.getElementById("message")) {
    event.preventDefault();
    document.getElementById("message").focus();
  }
});

addEventListener("pagehide", stop);

const app = document.getElementById("app");
app.replaceChildren();
render(html`<${Playground} />`, app);
start();
refreshModels();
