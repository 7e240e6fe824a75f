/**
 * Whether a text has formulas, and the one notation the renderer knows for them.
 *
 * A single dollar is money. `\(…\)` and `\[…\]`, which most models write, become `$$…$$`.
 */

/** Code, where a backslash is a backslash; or a formula. */
const CODE_OR_FORMULA = /(`{3,}[\s\S]*?(?:`{3,}|$)|`[^`\n]+`)|\\\(([\s\S]+?)\\\)|\\\[([\s\S]+?)\\\]/g;

/** @param {string} text */
export function hasFormulas(text) {
  return text.includes("$$") || text.includes("\\(") || text.includes("\\[");
}

/** @param {string} text */
export function withDollars(text) {
  return text.replace(CODE_OR_FORMULA, (whole, code, inline, display) => {
    if (code !== undefined) return whole;
    if (inline !== undefined) return `$$${inline}$$`;
    return `\n$$\n${display.trim()}\n$$\n`;
  });
}
