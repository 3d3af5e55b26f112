// Colours for code. Each language is loaded when it is first met.
import hljs from "../vendor/highlight/core.js";

const LANGUAGES = ["bash", "c", "cpp", "csharp", "css", "diff", "go", "java", "javascript", "json", "kotlin", "markdown",
  "php", "python", "ruby", "rust", "sql", "swift", "typescript", "xml", "yaml"];
const ALIASES = { html: "xml", js: "javascript", py: "python", rs: "rust", sh: "bash", shell: "bash", ts: "typescript",
  "c++": "cpp", "c#": "csharp", yml: "yaml", md: "markdown", kt: "kotlin", rb: "ruby" };

/** HTML of the code in colours; null for a language that is not known. */
export async function colouredHtml(code, name) {
  const language = ALIASES[name.toLowerCase()] ?? name.toLowerCase();
  if (!LANGUAGES.includes(language)) return null;
  if (!hljs.getLanguage(language)) {
    hljs.registerLanguage(language, (await import(`../vendor/highlight/${language}.js`)).default);
  }
  return hljs.highlight(code, { language }).value;
}
