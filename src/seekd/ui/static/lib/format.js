// Numbers and times as people read them.

export const seconds = (value) => `${value < 10 ? value.toFixed(2) : Math.round(value)} s`;
export const rate = (value) => (value < 100 ? value.toFixed(1) : Math.round(value).toString());
export const count = (value, locale) => value.toLocaleString(locale);
export const percent = (share) => `${share < 0.1 ? (share * 100).toFixed(1) : Math.round(share * 100)} %`;

/** The share of the probability that a log-probability stands for, 0 to 1. */
export const probability = (logprob) => Math.exp(logprob);

/** One of five classes of confidence, for colours. */
export function confidence(logprob) {
  const share = probability(logprob);
  return share > 0.9 ? 4 : share > 0.6 ? 3 : share > 0.3 ? 2 : share > 0.1 ? 1 : 0;
}

/** A first line of a text as a title. */
export function titleOf(text, length = 60) {
  const line = text.trim().split("\n")[0];
  return line.length > length ? `${line.slice(0, length - 1)}…` : line;
}

/** The text laid out, where it is a JSON object or array; null elsewhere. */
export function prettyJson(text) {
  if (!/^\s*[[{]/.test(text)) return null;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return null;
  }
}

/** A file as part of a message: in a fence longer than any that stands in it. */
export function fenced(name, text) {
  const fences = [...text.matchAll(/`{3,}/g)].map(([fence]) => fence.length);
  const fence = "`".repeat(Math.max(3, ...fences.map((length) => length + 1)));
  return `${name}:\n${fence}\n${text.replace(/\n$/, "")}\n${fence}`;
}
