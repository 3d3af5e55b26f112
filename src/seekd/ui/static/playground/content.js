// What a message says: as Markdown, as it was sent, or token by token.
import { html, useEffect, useMemo, useRef, useState } from "../vendor/preact.js";
import { colouredHtml } from "../lib/code.js";
import { confidence, percent, prettyJson, probability } from "../lib/format.js";
import { blocksOf, finishHtml } from "../lib/markdown.js";
import { memo } from "../lib/store.js";
import { CopyButton } from "./copy_button.js";
import { useWords } from "./state.js";

/** A text as Markdown; JSON is laid out. While it grows only its last block is drawn again. */
export function Markdown({ text, isRunning }) {
  const json = isRunning ? null : prettyJson(text);
  const blocks = useMemo(() => (json === null ? blocksOf(text) : [{ source: text, code: json, language: "json" }]), [text, json]);
  return html`<div class="content">
    ${blocks.map(({ source, toHtml, code, language }, index) => {
      const isWhole = !isRunning || index < blocks.length - 1;
      return toHtml
        ? html`<${Block} key=${index} source=${source} toHtml=${toHtml} isWhole=${isWhole} />`
        : html`<${Code} key=${index} code=${code} language=${language} isWhole=${isWhole} />`;
    })}
  </div>`;
}

// `toHtml` is new each time and says the same for the same source.
const Block = memo(
  function Block({ toHtml, isWhole }) {
    const place = useRef(null);
    const shown = toHtml();
    useEffect(() => {
      if (isWhole) finishHtml(place.current);
    }, [shown, isWhole]);
    return html`<div ref=${place} dangerouslySetInnerHTML=${{ __html: shown }}></div>`;
  },
  ["source", "isWhole"],
);

const Code = memo(function Code({ code, language, isWhole }) {
  const [coloured, setColoured] = useState(null);
  useEffect(() => {
    if (isWhole && language) colouredHtml(code, language).then((shown) => setColoured({ code, shown }));
  }, [code, language, isWhole]);
  const shown = coloured?.code === code ? coloured.shown : null;
  return html`<div class="code-block">
    <header><span>${language}</span><${CopyButton} text=${code} /></header>
    <pre tabindex="0">${shown === null ? html`<code>${code}</code>` : html`<code dangerouslySetInnerHTML=${{ __html: shown }}></code>`}</pre>
  </div>`;
});

const share = ({ logprob }) => percent(probability(logprob));

/** The tokens in the colours of their probability; the one under the pointer or the arrow keys shows its alternatives. */
export function Tokens({ entries }) {
  const words = useWords();
  const [at, setAt] = useState(null);
  const onKeyDown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    setAt(at === null ? 0 : Math.max(0, Math.min(entries.length - 1, at + step)));
  };
  return html`<div class="content tokens" role="listbox" tabindex="0" aria-label=${words("probabilities")} onKeyDown=${onKeyDown} onMouseLeave=${() => setAt(null)}>
    ${entries.map(
      (entry, index) => html`<span key=${index} class="token c${confidence(entry.logprob)}" role="option" aria-label="${JSON.stringify(entry.token)} ${share(entry)}" aria-selected=${index === at} onMouseEnter=${() => setAt(index)}
        >${entry.token}${index === at && html`<${Alternatives} entry=${entry} />`}</span
      >`,
    )}
  </div>`;
}

function Alternatives({ entry }) {
  const words = useWords();
  return html`<span class="tip"
    ><b>${JSON.stringify(entry.token)} ${share(entry)}</b>${entry.top_logprobs.length > 0 && html`<span>${words("alternatives")}</span>`}
    ${entry.top_logprobs.map((other) => html`<span><code>${JSON.stringify(other.token)}</code> ${share(other)}</span>`)}</span
  >`;
}
