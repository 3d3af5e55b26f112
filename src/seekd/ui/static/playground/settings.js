// Everything that a request can say, beside the messages.
import { html, useState } from "../vendor/preact.js";
import { parametersOf, rangeOf, readParameter, readStops } from "../lib/parameters.js";
import { readTools } from "../lib/requests.js";
import { useStore } from "../lib/store.js";
import { setOptions, store, useWords } from "./state.js";
import { Snippets } from "./snippets.js";

const TOOLS_EXAMPLE = JSON.stringify(
  [
    {
      name: "get_weather",
      description: "The weather in a city.",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
  ],
  null,
  2,
);

export function Settings() {
  const words = useWords();
  const chosen = useStore(store, ({ options }) => options.model);
  const models = useStore(store, (state) => state.models);
  const isChat = useStore(store, ({ mode }) => mode === "chat");
  const model = models.find(({ id }) => id === chosen);
  return html`<aside class="settings" aria-label=${words("settings")}>
    <label>${words("model")}
      <select value=${chosen} onChange=${(event) => setOptions({ model: event.target.value })}>
        ${models.map(({ id }) => html`<option key=${id} value=${id} selected=${id === chosen}>${id}</option>`)}
      </select>
    </label>
    ${model && html`<p class="hint">${model.name}</p>`}
    ${isChat && html`<${ChatSettings} model=${model} />`}
    <details>
      <summary>${words("parameters")}</summary>
      ${parametersOf(model).map((parameter) => html`<${Parameter} key=${parameter.name} parameter=${parameter} />`)}
      <${Stops} />
    </details>
    ${isChat && html`<details><summary>${words("tools")}</summary><${Tools} /></details>`}
    <${Snippets} />
  </aside>`;
}

function ChatSettings({ model }) {
  const words = useWords();
  const format = useStore(store, ({ options }) => options.format);
  return html`
    <${TextField} name="system" rows="3" />
    <${TextField} name="prefix" rows="1" />
    <${Choice} name="thinking" values=${{ auto: words("standard"), on: words("thinking_on"), off: words("thinking_off") }} />
    <${Choice} name="effort" values=${{ "": words("standard"), ...levels(model) }} />
    <${Choice} name="format" values=${{ text: words("text"), json_object: "JSON", json_schema: words("schema") }} />
    ${format === "json_schema" && html`<${JsonField} name="schema" label=${words("schema")} read=${JSON.parse} />`}
  `;
}

const levels = (model) => Object.fromEntries((model?.effort?.supported_levels ?? []).map((level) => [level, level]));

function TextField({ name, rows }) {
  const words = useWords();
  const text = useStore(store, ({ options }) => options[name]);
  return html`<label>${words(name)}
    <textarea rows=${rows} value=${text} onInput=${(event) => setOptions({ [name]: event.target.value })}></textarea>
  </label>`;
}

function Choice({ name, values }) {
  const words = useWords();
  const chosen = useStore(store, ({ options }) => options[name]);
  return html`<fieldset class="choice"><legend>${words(name)}</legend>
    ${Object.entries(values).map(
      ([value, label]) => html`<label key=${value}
        ><input type="radio" name=${name} checked=${value === chosen} onChange=${() => setOptions({ [name]: value })} /> ${label}</label
      >`,
    )}
  </fieldset>`;
}

function Stops() {
  const words = useWords();
  const [text, setText] = useState(store.get().options.stop.join("\n"));
  const input = ({ target }) => {
    setText(target.value);
    setOptions({ stop: readStops(target.value) });
  };
  return html`<label>${words("stop_texts")}<textarea rows="2" value=${text} onInput=${input}></textarea></label>`;
}

function Parameter({ parameter }) {
  const words = useWords();
  const { name } = parameter;
  const value = useStore(store, ({ options }) => options.parameters[name]);
  const [text, setText] = useState(value?.toString() ?? "");
  const isWrong = readParameter(parameter, text) === undefined;
  const input = (event) => {
    setText(event.target.value);
    const read = readParameter(parameter, event.target.value);
    if (read !== undefined) setOptions({ parameters: { ...store.get().options.parameters, [name]: read } });
  };
  return html`<label>${name} <small>${rangeOf(parameter)}</small>
    <input inputmode="decimal" value=${text} placeholder=${parameter.standard ?? words("standard")} aria-invalid=${isWrong} onInput=${input} />
    ${isWrong && html`<small class="error" role="alert">${words("value_range", { range: rangeOf(parameter) })}</small>`}
  </label>`;
}

function Tools() {
  const words = useWords();
  const { tools, mocks } = useStore(store, (state) => state.options);
  const names = tryRead(readTools, tools).value?.map((tool) => tool.function.name) ?? [];
  return html`
    <${JsonField} name="tools" label=${words("tools_hint")} read=${readTools} />
    ${!tools.trim() && html`<button type="button" onClick=${() => setOptions({ tools: TOOLS_EXAMPLE })}>${words("example")}</button>`}
    ${names.length > 0 && html`<${Choice} name="toolChoice" values=${{ auto: "auto", none: "none", required: "required" }} />`}
    ${names.map(
      (name) => html`<label key=${name}>${words("mock", { name })}
        <textarea class="code" rows="2" value=${mocks[name] ?? ""} onInput=${(event) => setOptions({ mocks: { ...mocks, [name]: event.target.value } })}></textarea>
      </label>`,
    )}
  `;
}

function JsonField({ name, label, read }) {
  const words = useWords();
  const text = useStore(store, ({ options }) => options[name]);
  const { value, reason } = tryRead(read, text);
  const laidOut = reason || !text.trim() ? text : JSON.stringify(JSON.parse(text), null, 2);
  return html`<label>${label}
      <textarea class="code" rows="8" spellcheck="false" value=${text} aria-invalid=${Boolean(reason)} onInput=${(event) => setOptions({ [name]: event.target.value })}></textarea>
      ${reason && html`<small class="error">${words("unreadable", { reason })}</small>`}
    </label>
    ${value && laidOut !== text && html`<button type="button" onClick=${() => setOptions({ [name]: laidOut })}>${words("lay_out")}</button>`}`;
}

function tryRead(read, text) {
  try {
    return { value: read(text), reason: "" };
  } catch (error) {
    return { value: null, reason: error.message };
  }
}
