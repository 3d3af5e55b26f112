// A request as a program that sends it. The key stands as a name, never as itself.

const pretty = (value) => JSON.stringify(value, null, 2);
const baseOf = (path) => path.slice(0, path.indexOf("/", 1));
const isChat = ({ path }) => path.endsWith("/chat/completions");

export function asCurl({ path, body }, origin) {
  const data = pretty(body).replaceAll("'", String.raw`'\''`);
  return [
    `curl ${origin}${path} \\`,
    `  -H "Authorization: Bearer $SEEKD_API_KEY" \\`,
    `  -H 'Content-Type: application/json' \\`,
    `  -d '${data}'`,
  ].join("\n");
}

export function asPython(request, origin) {
  const piece = isChat(request) ? "delta.content" : "text";
  return [
    "import os",
    "",
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url="${origin}${baseOf(request.path)}", api_key=os.environ.get("SEEKD_API_KEY", "none"))`,
    `stream = client.${isChat(request) ? "chat." : ""}completions.create(`,
    ...pythonArguments(request.body).map((line) => `    ${line},`),
    ")",
    "for chunk in stream:",
    `    if chunk.choices and chunk.choices[0].${piece}:`,
    `        print(chunk.choices[0].${piece}, end="", flush=True)`,
  ].join("\n");
}

const NOT_OF_THE_SDK = ["thinking"];

function pythonArguments(body) {
  const entries = Object.entries(body);
  const isExtra = ([name]) => NOT_OF_THE_SDK.includes(name);
  const extra = Object.fromEntries(entries.filter(isExtra));
  const lines = entries.filter((entry) => !isExtra(entry)).map(([name, value]) => `${name}=${python(value, 4)}`);
  return Object.keys(extra).length ? [...lines, `extra_body=${python(extra, 4)}`] : lines;
}

/** A value as Python writes it: JSON's words are others, its texts are the same. */
function python(value, indent) {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const isList = Array.isArray(value);
  const parts = isList
    ? value.map((entry) => python(entry, indent + 4))
    : Object.entries(value).map(([name, entry]) => `${JSON.stringify(name)}: ${python(entry, indent + 4)}`);
  const [open, close] = isList ? "[]" : "{}";
  const line = `${open}${parts.join(", ")}${close}`;
  if (line.length + indent <= 100 && !line.includes("\n")) return line;
  const space = " ".repeat(indent);
  return `${open}\n${parts.map((part) => `${space}    ${part},\n`).join("")}${space}${close}`;
}

export function asNode(request, origin) {
  return [
    'import OpenAI from "openai";',
    "",
    `const client = new OpenAI({ baseURL: "${origin}${baseOf(request.path)}", apiKey: process.env.SEEKD_API_KEY ?? "none" });`,
    `const stream = await client.${isChat(request) ? "chat." : ""}completions.create(${pretty(request.body)});`,
    "for await (const chunk of stream) {",
    `  process.stdout.write(chunk.choices[0]?.${isChat(request) ? "delta?.content" : "text"} ?? "");`,
    "}",
  ].join("\n");
}
