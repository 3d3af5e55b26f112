// The parameters of a request that a person may set, with their ranges. Source: the classic API's parameter table.

const MOST_TOKENS = 393_216;

export const PARAMETERS = [
  { name: "temperature", min: 0, max: 2, step: 0.1, standard: 1 },
  { name: "top_p", min: 0.01, max: 1, step: 0.01, standard: 1 },
  { name: "max_tokens", min: 1, max: MOST_TOKENS, step: 1, standard: null },
  { name: "frequency_penalty", min: -2, max: 2, step: 0.1, standard: 0 },
  { name: "presence_penalty", min: -2, max: 2, step: 0.1, standard: 0 },
  { name: "seed", min: 0, max: Number.MAX_SAFE_INTEGER, step: 1, standard: null },
  { name: "top_logprobs", min: 0, max: 20, step: 1, standard: null },
];

/** The parameters as a model takes them: no answer is longer than it can write. */
export const parametersOf = (model) =>
  PARAMETERS.map((parameter) =>
    parameter.name === "max_tokens" ? { ...parameter, max: model?.max_output_tokens ?? MOST_TOKENS } : parameter,
  );

/** A parameter's range in words; the largest whole number is no limit to speak of. */
export const rangeOf = ({ min, max }) => (max === Number.MAX_SAFE_INTEGER ? `≥ ${min}` : `${min} … ${max}`);

/** What a text field's value stands for: null for an empty one, a number within the range, undefined for any other. */
export function readParameter({ min, max, step }, text) {
  if (text.trim() === "") return null;
  const value = Number(text);
  const isInRange = value >= min && value <= max;
  return isInRange && (step < 1 || Number.isInteger(value)) ? value : undefined;
}

/** Texts that end an answer, one a line. At most 16 are taken. */
export const readStops = (text) => text.split("\n").filter(Boolean).slice(0, 16);
