// Fill in the middle: the text between two others.
import { html } from "../vendor/preact.js";
import { useStore } from "../lib/store.js";
import { fillIn, stop } from "./answering.js";
import { Facts } from "./facts.js";
import { setFill, store, useWords } from "./state.js";

export function Fill() {
  const words = useWords();
  const { before, after, answer, error, cost, isFromCache } = useStore(store, (state) => state.fill);
  const model = useStore(store, ({ options }) => options.model);
  const isBusy = useStore(store, ({ running }) => running !== null);
  const submit = (event) => {
    event.preventDefault();
    fillIn();
  };
  const field = (name, value) => html`<label
    >${words(name)}
    <textarea class="code" rows="7" spellcheck="false" value=${value} onInput=${(event) => setFill({ [name]: event.target.value })}></textarea>
  </label>`;
  return html`<form class="fill" onSubmit=${submit}>
    ${field("before", before)}
    ${field("after", after)}
    ${isBusy
      ? html`<button key="stop" type="button" class="primary" onClick=${stop}>${words("stop")}</button>`
      : html`<button key="fill" class="primary" disabled=${!before}>${words("fill_middle")}</button>`}
    ${answer &&
    html`<section aria-label=${words("filled")} aria-busy=${isBusy}>
      <pre tabindex="0"><code>${before}<mark>${answer.content}</mark>${after}</code></pre>
      ${error && html`<p class="error" role="alert">${error}</p>`}
      ${!isBusy && html`<${Facts} answer=${answer} model=${model} cost=${cost} isFromCache=${isFromCache} />`}
    </section>`}
  </form>`;
}
