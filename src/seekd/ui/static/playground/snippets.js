// The next request as a program.
import { html, useState } from "../vendor/preact.js";
import { asCurl, asNode, asPython } from "../lib/snippets.js";
import { useStore } from "../lib/store.js";
import { nextRequest } from "./answering.js";
import { CopyButton } from "./copy_button.js";
import { store, useWords } from "./state.js";

const WRITERS = { curl: asCurl, Python: asPython, Node: asNode };

export function Snippets() {
  const words = useWords();
  const [kind, setKind] = useState(null);
  return html`<section class="snippets">
    <h2>${words("show_as")}</h2>
    <div class="row">
      ${Object.keys(WRITERS).map(
        (name) => html`<button key=${name} aria-pressed=${name === kind} onClick=${() => setKind(name === kind ? null : name)}>${name}</button>`,
      )}
    </div>
    ${kind && html`<${Snippet} write=${WRITERS[kind]} />`}
  </section>`;
}

function Snippet({ write }) {
  const state = useStore(store); // the request changes with everything
  let text;
  try {
    text = write(nextRequest(state), location.origin);
  } catch (error) {
    text = error.message;
  }
  return html`<pre tabindex="0"><code>${text}</code></pre><${CopyButton} text=${text} />`;
}
