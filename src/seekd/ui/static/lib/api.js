// The HTTP API, as any client uses it.
import { createEventReader } from "./sse.js";

const KEY = "seekd-key"; // in the tab's own storage: gone when it is closed
const COST = /^x-seekd-cost: (.+)$/;

export const savedKey = () => sessionStorage.getItem(KEY) ?? "";
export const saveKey = (key) => (key ? sessionStorage.setItem(KEY, key) : sessionStorage.removeItem(KEY));

/** A refusal of the server, with its status and its own sentence. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, { body, signal } = {}) {
  const key = savedKey();
  const headers = { "content-type": "application/json", ...(key ? { authorization: `Bearer ${key}` } : {}) };
  const options = body ? { method: "POST", body: JSON.stringify(body) } : {};
  const response = await fetch(path, { ...options, headers, signal });
  if (!response.ok) throw new ApiError(response.status, await refusalOf(response));
  return response;
}

async function refusalOf(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).error.message;
  } catch {
    return text || `${response.status} ${response.statusText}`; // some refusals are plain text
  }
}

/** The models that the caller may ask for. */
export async function fetchModels() {
  return (await (await ask("/v1/models")).json()).data;
}

/**
 * Runs a request that is answered by a stream; `onChunk` gets each chunk. Throws ApiError or the fetch's own error.
 *
 * Returns what the server says beside the answer: a warning, whether the answer came from its cache, the cost; null
 * where it says nothing.
 */
export async function stream({ path, body }, { signal, onChunk }) {
  const response = await ask(path, { body, signal });
  const read = createEventReader();
  const text = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let [isWhole, cost] = [false, null];
  for (;;) {
    const { done, value } = await text.read();
    if (done && !isWhole) throw new ApiError(0, "The stream ended before the answer did.");
    if (done) return { ...asides(response.headers), cost };
    for (const { data, comment } of read(value)) {
      if (comment !== undefined) cost = COST.exec(comment)?.[1] ?? cost;
      else if (data === "[DONE]") isWhole = true;
      else onChunk(JSON.parse(data));
    }
  }
}

function asides(headers) {
  const warning = headers.get("x-seekd-warning");
  return { warning: warning && decodeURIComponent(warning), isFromCache: headers.get("x-seekd-cache") === "hit" };
}
