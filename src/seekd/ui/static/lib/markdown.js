// Text of a model as HTML that is safe to show: Markdown, block by block, sanitized; then maths is set.
import { marked } from "../vendor/marked.js";
import "../vendor/purify.js"; // registers itself as a global
import { findMaths, findMathsBlock, MATHS_START } from "./maths.js";

const { sanitize } = globalThis.DOMPurify;

marked.use({
  gfm: true,
  breaks: true,
  // HTML that a model writes is shown as it stands; tables have no other way to break a line.
  renderer: { html: ({ text }) => (/^<br\s*\/?>$/i.test(text) ? "<br>" : escapeHtml(text)) },
  // Before Markdown takes backslashes and underscores apart.
  extensions: [
    {
      name: "mathsBlock",
      level: "block",
      start: (source) => source.match(/\n(?:\$\$|\\\[)/)?.index,
      tokenizer: (source) => mathsToken("mathsBlock", findMathsBlock(source)),
      renderer: mathsHtml,
    },
    {
      name: "maths",
      level: "inline",
      start: (source) => source.match(MATHS_START)?.index,
      tokenizer: (source) => mathsToken("maths", findMaths(source)),
      renderer: mathsHtml,
    },
  ],
});

const mathsToken = (type, found) => found && { type, ...found };

function mathsHtml({ text, isDisplay }) {
  return `<span class="maths" data-display="${isDisplay}">${escapeHtml(text)}</span>`;
}

export function escapeHtml(text) {
  return text.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign]);
}

/** The blocks of a text, each with its source and a function that makes its HTML; a code block has its code instead. */
export function blocksOf(text) {
  const tokens = marked.lexer(text).filter(({ type }) => type !== "space");
  return tokens.map((token) =>
    token.type === "code"
      ? { source: token.raw, code: token.text, language: token.lang?.split(/\s/)[0] ?? "" }
      : { source: token.raw, toHtml: () => safe(marked.parser([token])) },
  );
}

/** Sanitized HTML of a whole text. */
export const toHtml = (text) => safe(marked.parse(text));

/** Pictures would ask other servers; classes and styles could disturb the page. */
const safe = (html) =>
  sanitize(html, {
    FORBID_TAGS: ["img", "style", "form", "input", "button", "select", "textarea", "audio", "video", "svg", "math"],
    FORBID_ATTR: ["style", "id", "name", "class"],
    ADD_ATTR: ["data-display"],
  });

/** Ends what `toHtml` began inside an element: links open beside the page, maths is set. */
export async function finishHtml(element, { output = "htmlAndMathml" } = {}) {
  for (const link of element.querySelectorAll("a[href]")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  const formulas = [...element.querySelectorAll("[data-display]:not(.set)")];
  if (!formulas.length) return;
  const katex = await loadKatex();
  for (const formula of formulas) {
    const displayMode = formula.dataset.display === "true";
    formula.classList.add("maths", "set");
    katex.render(formula.textContent, formula, { displayMode, output, throwOnError: false, maxExpand: 100 });
  }
}

async function loadKatex() {
  if (!globalThis.katex) {
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = new URL("../vendor/katex/katex.css", import.meta.url).href;
    document.head.append(style);
    await import("../vendor/katex/katex.js");
  }
  return globalThis.katex;
}
