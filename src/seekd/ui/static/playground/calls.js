// The functions that an answer calls, and what the person says they gave.
import { html, useState } from "../vendor/preact.js";
import { prettyJson } from "../lib/format.js";
import { useStore } from "../lib/store.js";
import { sendResults } from "./answering.js";
import { store, useWords } from "./state.js";

export function Calls({ node, isOpen }) {
  const words = useWords();
  const mocks = useStore(store, ({ options }) => options.mocks);
  const [typed, setTyped] = useState({});
  const resultOf = ({ id, function: called }) => typed[id] ?? mocks[called.name] ?? "";
  const submit = (event) => {
    event.preventDefault();
    sendResults(node.id, node.toolCalls.map((call) => [call.id, resultOf(call)]));
  };
  return html`<form class="calls" onSubmit=${submit}>
    ${node.toolCalls.map(
      (call) => html`<div class="call" key=${call.id}>
        <code class="call-name">${call.function.name}</code>
        <pre tabindex="0"><code>${prettyJson(call.function.arguments) ?? call.function.arguments}</code></pre>
        ${isOpen &&
        html`<label
          >${words("result", { name: call.function.name })}
          <textarea class="code" rows="2" value=${resultOf(call)} onInput=${(event) => setTyped({ ...typed, [call.id]: event.target.value })}></textarea>
        </label>`}
      </div>`,
    )}
    ${isOpen && html`<button class="primary">${words("send_result")}</button>`}
  </form>`;
}
