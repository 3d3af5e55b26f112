// A button that copies a text, and says so.
import { html, useState } from "../vendor/preact.js";
import { copyText } from "../lib/browser.js";
import { useWords } from "./state.js";

export function CopyButton({ text }) {
  const words = useWords();
  const [isCopied, setCopied] = useState(false);
  const copy = async () => {
    await copyText(text);
    setCopied(true);
  };
  return html`<button type="button" onClick=${copy} onBlur=${() => setCopied(false)}>${words(isCopied ? "copied" : "copy")}</button>`;
}
