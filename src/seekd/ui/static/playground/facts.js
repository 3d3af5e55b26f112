// What an answer took: tokens, time, money.
import { html } from "../vendor/preact.js";
import { answerFacts } from "../lib/answer.js";
import { count, percent, rate, seconds } from "../lib/format.js";
import { useStore } from "../lib/store.js";
import { store, useWords } from "./state.js";

export function Facts({ answer, model, cost, isFromCache }) {
  const words = useWords();
  const language = useStore(store, (state) => state.language);
  const models = useStore(store, (state) => state.models);
  const facts = answerFacts(answer, models.find(({ id }) => id === model)?.context_window);
  const number = (value) => count(value, language);
  const parts = [
    facts.promptTokens !== null && words("tokens", { prompt: number(facts.promptTokens), completion: number(facts.completionTokens) }),
    facts.cachedTokens > 0 && words("cached", { number: number(facts.cachedTokens) }),
    isFromCache && words("from_cache"),
    facts.tokensPerSecond && words("tokens_second", { number: rate(facts.tokensPerSecond) }),
    facts.firstTokenS !== null && words("first_token", { time: seconds(facts.firstTokenS) }),
    facts.contextShare !== null && words("of_context", { share: percent(facts.contextShare) }),
    cost && words("cost", { amount: cost }),
  ];
  return html`<span class="facts">${parts.filter(Boolean).map((part) => html`<span>${part}</span>`)}</span>`;
}
