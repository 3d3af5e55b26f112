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
  const options = useStore(store, (state) => state.options);
  const models = useStore(store, (state) => state.models);
  const model = models.find(({ id }) => id === options.model);
  return html`<aside class="settings" aria-label=${words("settings")}>
    <label>${words("model")}
      <select value=${options.model} onChange=${(event) => setOptions({ model: event.target.value })}>
        ${models.map(({ id }) => html`<option key=${id} value=${id} selected=${id === options.model}>${id}</option>`)}
      </select>
    </label>
    ${model && html`<p class="hint">${model.name}</p>`}
    <${TextField} name="system" rows="3" />
    <${Choice} name="thinking" values=${{ auto: words("thinking_auto"), on: words("thinking_on"), off: words("thinking_off") }} />
    <${Choice} name="effort" values=${{ "": words("standard"), ...levels(model) }} />
    <${Choice} name="format" values=${{ text: words("text"), json_object: "JSON", json_schema: words("schema") }} />
    ${options.format === "json_schema" && html`<${JsonField} name="schema" read=${JSON.parse} />`}
    <details>
      <summary>${words("parameters")}</summary>
      ${parametersOf(model).map((parameter) => html`<${Parameter} key=${parameter.name} parameter=${parameter} />`)}
      <label>${words("stop_texts")}
        <textarea rows="2" onInput=${(event) => setOptions({ stop: readStops(event.target.value) })}></textarea>
      </label>
    </details>
    <details>
      <summary>${words("tools")}</summary>
      <${Tools} />
    </details>
    <${TextField} name="prefix" rows="2" />
    <${Snippets} />
  </aside>`;
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
    <p class="hint">${words("tools_hint")}</p>
    <${JsonField} name="tools" read=${readTools} />
    ${!tools.trim() && html`<button type="button" onClick=${() => setOptions({ tools: TOOLS_EXAMPLE })}>${words("example")}</button>`}
    ${names.length > 0 && html`<${Choice} name="toolChoice" values=${{ auto: "auto", none: "none", required: "required" }} />`}
    ${names.map(
      (name) => html`<label key=${name}>${words("mock", { name })}
        <textarea class="code" rows="2" value=${mocks[name] ?? ""} onInput=${(event) => setOptions({ mocks: { ...mocks, [name]: event.target.value } })}></textarea>
      </label>`,
    )}
  `;
}

function JsonField({ name, read }) {
  const words = useWords();
  const text = useStore(store, ({ options }) => options[name]);
  const { value, reason } = tryRead(read, text);
  const laidOut = reason || !text.trim() ? text : JSON.stringify(JSON.parse(text), null, 2);
  return html`<label>${words(name)}
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
