import { expect, test } from "bun:test";

import { withDollars } from "../../../chat_app/ui/live_answer/formulas.js";

test.each([
  ["inline", "so \\(a^2\\), and", "so $$a^2$$, and"],
  ["inline over two lines", "\\(a +\n  b\\)", "$$a + b$$"],
  ["displayed", "is\n\n\\[ b^2 \\]\n\nor", "is\n\n$$\nb^2\n$$\n\nor"],
  ["displayed in a sentence", "Then \\[x = 1\\], so", "Then \n$$\nx = 1\n$$\n, so"],
  ["with lines that begin as a list does", "\\[\na\n- b\n+ c\n\\]\n", "$$\na\n- b\n+ c\n$$\n"],
  ["with a line break and its height", "\\[\na \\\\[2pt]\nb\n\\]", "$$\na \\\\[2pt]\nb\n$$"],
  ["with words that have a formula", "\\[ a \\text{ if \\(b\\)} \\]", "$$\na \\text{ if \\(b\\)}\n$$"],
  ["in a list", "1. \\[ x \\]\n2. y", "1. $$\n   x\n   $$\n2. y"],
  ["below an item of a list", "- so\n  \\[\n  x\n  \\]\n", "- so\n  $$\n  x\n  $$\n"],
  ["deep in a list", "- a\n  - b\n\n    \\(x\\)", "- a\n  - b\n\n    $$x$$"],
  ["in a quotation", "> \\[\n> x\n> \\]\n", "> $$\n> x\n> $$\n"],
  ["after code", "```\n\\(a\\)\n```\n\\(b\\)", "```\n\\(a\\)\n```\n$$b$$"],
  ["after code in a list", "- a\n  ```\n  \\(a\\)\n\n\\(b\\)", "- a\n  ```\n  \\(a\\)\n\n$$b$$"],
  ["after a lone backtick", "a ` and \\(b\\)", "a ` and $$b$$"],
  ["twice", "\\(a\\) or \\(b\\)", "$$a$$ or $$b$$"],
])("a formula is recognized: %s", (_, text, shown) => {
  expect(withDollars(text)).toBe(shown);
});

test.each([
  ["fenced code", "```js\nconst re = /\\(a\\)/;\n```\n"],
  ["a fence of tildes", "~~~sh\nfind . \\( -name a \\) -print\n~~~\n"],
  ["a fence without an end", "~~~\n\n\\(a\\)\n\n```\n\\(a\\)"],
  ["a longer fence around another", "````\n```\n\\(a\\)\n```\n\\(a\\)\n````\n"],
  ["a fence in a list", "1. so\n   ```\n   \\(a\\)\n\n   \\(a\\)\n   ```\n"],
  ["a fence in a quotation", "> ```\n> \\(a\\)\n> ```\n"],
  ["indented code", "so:\n\n    find \\( -name a \\)\n\n    \\(b\\)\n"],
  ["indented code in a list", "- item\n\n      find . \\( -name a \\)\n"],
  ["code in a line", "Regex `\\(` and then \\), `\\(x\\)`, ``a ` \\(b\\)`` end"],
  ["code over two lines", "so `a \\(\n\\) b`"],
  ["a bracket before code", "Escape \\( with a backslash.\n\n```js\n/\\(a\\)/\n```\n"],
  ["a bracket just before code", "Escape \\( as in\n```js\n/\\(a\\)/\n```\n"],
  ["a bracket, code, and its end", "Write \\( as `a` and \\) so"],
  ["brackets in two paragraphs", "One \\( and\n\nthe other \\)."],
  ["brackets in two items", "- One \\( and\n- the other \\)."],
  ["a path", "C:\\[dir\\] and C:\\\\[dir\\\\]"],
  ["brackets that are escaped", "array \\[1\\]\n\n\\[1\\] Smith\n\n- \\[ \\] to do\n"],
  ["backslashes that are escaped", "\\\\(a\\\\)"],
  ["nothing", "\\(\\) \\[ \\]"],
  ["what has no end", "\\(a"],
  ["what is too long", `\\(${"a".repeat(5_000)}\\)`],
  ["money", "It costs $5 or $6"],
])("left as it is: %s", (_, text) => {
  expect(withDollars(text)).toBe(text);
});

test.each(["\\(", "\\[ ", "\\[\n", "\\(a\\)", "`a ", "` \\( ``", "- \\[ = \\] ", "> ", "- ", "- \n"])(
  "even 256 KB of it take next to no time: %j",
  (piece) => {
    const text = piece.repeat(256_000 / piece.length) + "\\(";
    const before = performance.now();
    withDollars(text);
    expect(performance.now() - before).toBeLessThan(2_000); // 50 ms, but 10 s if each bracket scanned for its end
  },
);
