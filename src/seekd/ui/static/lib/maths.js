// Where maths stands in a text: $…$, $$…$$, \(…\) and \[…\].

export const MATHS_START = /\$|\\[([]/;

const DISPLAY = String.raw`\$\$([^$]+?)\$\$|\\\[([\s\S]+?)\\\]`;
// A price is no maths: no space inside the signs, no digit behind the second.
const INLINE = String.raw`\\\((.+?)\\\)|\$(?!\s)([^$\n]+?)(?<!\s)\$(?!\d)`;
const AT_START = new RegExp(`^(?:${DISPLAY}|${INLINE})`);
const BLOCK = new RegExp(`^(?:${DISPLAY})[ \\t]*(?:\\n|$)`);

const asFormula = (match) => {
  if (!match) return undefined;
  const [raw, dollars, brackets, parens, dollar] = match;
  return { raw, text: (dollars ?? brackets ?? parens ?? dollar).trim(), isDisplay: (dollars ?? brackets) !== undefined };
};

/** The formula that a text begins with; undefined where there is none. */
export const findMaths = (text) => asFormula(AT_START.exec(text));

/** The formula of its own that a text begins with, on lines of its own. */
export const findMathsBlock = (text) => asFormula(BLOCK.exec(text));
