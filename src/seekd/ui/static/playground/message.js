// One message of the conversation.
import { html, useState } from "../vendor/preact.js";
import { reasoningSeconds } from "../lib/answer.js";
import { seconds } from "../lib/format.js";
import { memo } from "../lib/store.js";
import { showBranch } from "../lib/tree.js";
import { answerAgain, editMessage, showTree } from "./answering.js";
import { Calls } from "./calls.js";
import { Markdown, Tokens } from "./content.js";
import { CopyButton } from "./copy_button.js";
import { Facts } from "./facts.js";
import { NEXT, PREVIOUS } from "./icons.js";
import { store, useWords } from "./state.js";

const VIEWS = { text: Markdown, source: Source, probabilities: Tokens };

export const Message = memo(function Message({ node, ids, isLast, isRunning, isBusy }) {
  const words = useWords();
  const [isEditing, setEditing] = useState(false);
  const [view, setView] = useState("text");
  const who = words({ user: "you", assistant: "assistant", tool: "tool" }[node.role]);
  const logprobs = node.answer?.logprobs ?? [];
  const View = VIEWS[view];
  const viewButton = (name) =>
    html`<button aria-pressed=${view === name} onClick=${() => setView(view === name ? "text" : name)}>${words(name)}</button>`;
  return html`<article class="message ${node.role}" aria-label=${who} aria-busy=${isRunning}>
    <header><span class="who">${who}</span>${node.model && html`<span class="model">${node.model}</span>`}</header>
    ${node.reasoning && html`<${Reasoning} node=${node} isRunning=${isRunning} />`}
    ${isEditing
      ? html`<${Editor} node=${node} close=${() => setEditing(false)} />`
      : html`<${View} text=${node.content} entries=${logprobs} isRunning=${isRunning} />`}
    ${node.toolCalls?.length > 0 && html`<${Calls} node=${node} isOpen=${isLast && !isBusy} />`}
    ${node.error && html`<p class="error" role="alert">${node.error}</p>`}
    ${node.isStopped && html`<p class="hint">${words("stopped")}</p>`}
    ${node.answer?.finish === "length" && html`<p class="hint">${words("cut")}</p>`}
    ${node.warning && html`<p class="hint">${node.warning}</p>`}
    <footer>
      <${Branches} id=${node.id} ids=${ids} isBusy=${isBusy} />
      ${node.answer && !isRunning && html`<${Facts} answer=${node.answer} model=${node.model} cost=${node.cost} isFromCache=${node.isFromCache} />`}
      <span class="actions">
        <${CopyButton} text=${node.content} />
        ${node.role === "user" && html`<button disabled=${isBusy} onClick=${() => setEditing(true)}>${words("edit")}</button>`}
        ${node.role === "assistant" && html`<button disabled=${isBusy} onClick=${() => answerAgain(node.id)}>${words("answer_again")}</button>`}
        ${node.role === "assistant" && viewButton("source")}
        ${logprobs.length > 0 && viewButton("probabilities")}
      </span>
    </footer>
  </article>`;
});

function Source({ text }) {
  return html`<pre class="source" tabindex="0">${text}</pre>`;
}

function Reasoning({ node, isRunning }) {
  const words = useWords();
  const isOver = !isRunning || node.answer.reasonedMs !== null;
  const time = node.answer && seconds(reasoningSeconds(node.answer, node.answer.firstMs));
  return html`<details class="reasoning" open=${!isOver}>
    <summary>${isOver && time ? words("reasoned", { time }) : words("reasoning")}</summary>
    <div class="thought">${node.reasoning}</div>
  </details>`;
}

function Editor({ node, close }) {
  const words = useWords();
  const [text, setText] = useState(node.content);
  const submit = (event) => {
    event.preventDefault();
    close();
    editMessage(node.id, text);
  };
  return html`<form class="editor" onSubmit=${submit}>
    <textarea aria-label=${words("message")} rows="4" value=${text} onInput=${(event) => setText(event.target.value)}></textarea>
    <button class="primary">${words("send")}</button>
    <button type="button" onClick=${close}>${words("cancel")}</button>
  </form>`;
}

function Branches({ id, ids, isBusy }) {
  const words = useWords();
  if (ids.length < 2) return null;
  const at = ids.indexOf(id);
  const show = (other) => showTree(showBranch(store.get().current.tree, other));
  return html`<span class="branches">
    <button aria-label=${words("previous")} disabled=${isBusy || at === 0} onClick=${() => show(ids[at - 1])}>${PREVIOUS}</button>
    <span><span class="unseen">${words("branch", { number: at + 1, total: ids.length })}</span><span aria-hidden="true">${at + 1}/${ids.length}</span></span>
    <button aria-label=${words("next")} disabled=${isBusy || at === ids.length - 1} onClick=${() => show(ids[at + 1])}>${NEXT}</button>
  </span>`;
}
