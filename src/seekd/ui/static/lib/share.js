// A conversation as one HTML file that shows itself anywhere: no script, nothing loaded.
import { colouredHtml } from "./code.js";
import { blocksOf, escapeHtml, finishHtml } from "./markdown.js";
import { shownPath } from "./tree.js";

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.55 system-ui, sans-serif; }
body { max-width: 50rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1rem; margin: 1.6rem 0 0.3rem; }
pre { overflow: auto; padding: 0.7rem; border: 1px solid #8886; border-radius: 8px; }
table { border-collapse: collapse; } th, td { border: 1px solid #8886; padding: 0.3rem 0.6rem; }
.thought { white-space: pre-wrap; opacity: 0.75; border-left: 3px solid #8886; padding-left: 0.9rem; }
.hljs-keyword, .hljs-literal, .hljs-built_in { color: light-dark(#8a2be2, #c9a2ff); }
.hljs-string { color: light-dark(#0b6e3c, #8fd6a4); } .hljs-number, .hljs-attr { color: light-dark(#9a4b00, #f0b77a); }
.hljs-title { color: light-dark(#1d4fd8, #8fb0ff); } .hljs-comment { font-style: italic; opacity: 0.75; }
`;

/** The file's text. `names` are the words for the roles and for `reasoning`, `language` is that of the words. */
export async function asHtmlFile(conversation, { names, language }) {
  const parts = await Promise.all(shownPath(conversation.tree).map((node) => messageHtml(node, names)));
  const title = escapeHtml(conversation.title);
  return `<!doctype html>
<html lang="${language}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${STYLE}</style>
<h1>${title}</h1>
${parts.join("\n")}
</html>
`;
}

async function messageHtml(node, names) {
  const thought = node.reasoning
    ? `<details><summary>${names.reasoning}</summary><div class="thought">${escapeHtml(node.reasoning)}</div></details>`
    : "";
  const calls = (node.toolCalls ?? []).map(({ function: called }) => `<pre>${escapeHtml(`${called.name}(${called.arguments})`)}</pre>`);
  const blocks = await Promise.all(blocksOf(node.content).map(blockHtml));
  return `<article><h2>${names[node.role]}</h2>${thought}${calls.join("")}${blocks.join("")}</article>`;
}

async function blockHtml({ code, language, toHtml }) {
  if (code !== undefined) return `<pre><code>${(await colouredHtml(code, language)) ?? escapeHtml(code)}</code></pre>`;
  const place = document.createElement("div");
  place.innerHTML = toHtml();
  await finishHtml(place, { output: "mathml" });
  return place.innerHTML;
}
