/**
 * Finds formulas, and rewrites them in the one notation that the renderer knows.
 *
 * A single dollar is money. `\(…\)` and `\[…\]`, which most models write, become `$$…$$`, but never
 * in code, where a backslash is a backslash. A formula stays within one paragraph and has at most
 * `MAX_CHARS` characters. All of this takes time in proportion to the text.
 */

const MAX_CHARS = 4_000;
/** Prose may have escaped brackets, too: `\[1\]` has none of these, and no space inside. */
const SIGN = /[\\^_={}<>+]/;
const QUOTES = /^(?: {0,3}>[ \t]?)*/;
const BULLET = /^(?:[-*+]|\d{1,9}[.)])(?=[ \t])/;
const FENCE = /^(?:(`{3,})[^`]*|(~{3,}).*)$/;
const CONTAINERS = /^[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*/;

/** @param {string} text */
export function hasFormulas(text) {
  return text.includes("$$") || text.includes("\\(") || text.includes("\\[");
}

/** @param {string} text */
export function withDollars(text) {
  if (!text.includes("\\(") && !text.includes("\\[")) return text;
  const pieces = [];
  let done = 0;
  for (const [start, end] of paragraphs(text)) {
    pieces.push(text.slice(done, start), paragraphWithDollars(text.slice(start, end)));
    done = end;
  }
  return pieces.join("") + text.slice(done);
}

/** The paragraphs, as [start, end]: all that is neither fenced nor indented code. */
function* paragraphs(text) {
  let start = null; // of the open paragraph
  let fence = null; // the open one
  let columns = []; // where the text of each open list begins
  let quoted = 0;
  let inDisplay = false; // where a line may look like a list item
  let at = 0;
  for (const line of text.split("\n")) {
    const [quotes] = QUOTES.exec(line);
    const depth = quotes.split(">").length - 1;
    const rest = line.slice(quotes.length).replaceAll("\t", "    ");
    let words = rest.trimStart();
    let indent = rest.length - words.length;
    const before = start;
    const isFence = indent < 4 + (columns.at(-1) ?? 0) && FENCE.test(words);
    const begins = before === null || (!inDisplay && (BULLET.test(words) || words.startsWith("#")));

    if (fence && words && (depth < fence.depth || indent < fence.column)) fence = null; // it ended with its list
    if (fence) {
      const closes = words.startsWith(fence.mark) && words.replaceAll(fence.mark[0], "").trim() === "";
      if (closes) fence = null;
    } else if (!words) {
      start = null;
    } else {
      if (depth !== quoted && begins) columns = [];
      if (begins || isFence) while (columns.at(-1) > indent) columns.pop();
      let isCode = begins && indent - (columns.at(-1) ?? 0) >= 4;
      for (let bullet; begins && !isCode && (bullet = BULLET.exec(words)?.[0]); ) {
        const after = words.slice(bullet.length);
        words = after.trimStart();
        const gap = after.length - words.length;
        isCode = gap > 4;
        indent += bullet.length + gap;
        columns.push(isCode ? indent - gap + 1 : indent);
      }
      const mark = isCode ? null : FENCE.exec(words);
      if (mark) fence = { mark: mark[1] ?? mark[2], depth, column: columns.at(-1) ?? 0 };
      if (isCode || mark) start = null;
      else if (begins || depth > quoted) start = at;
      quoted = depth;
    }
    if (before !== null && start !== before) yield [before, at];
    at += line.length + 1;
    const [opened, closed] = [line.lastIndexOf("\\["), line.lastIndexOf("\\]")];
    inDisplay = start !== null && (opened === closed ? inDisplay : opened > closed);
  }
  if (start !== null) yield [start, text.length];
}

function paragraphWithDollars(text) {
  if (!text.includes("\\")) return text;
  const lastRun = new Map(); // where the last run of each length begins
  for (const { 0: ticks, index } of text.matchAll(/`+/g)) lastRun.set(ticks.length, index);
  const formulas = [];
  const word = /`+|\\[^]|\n/g;
  let [inline, display, line, displayLine] = [-1, -1, 0, 0];
  for (let found; (found = word.exec(text)); ) {
    const { 0: it, index: at } = found;
    if (it[0] === "`" && lastRun.get(it.length) > at) {
      word.lastIndex = endOfCode(text, at, it.length);
      inline = display = -1;
      line = Math.max(line, at + text.slice(at, word.lastIndex).lastIndexOf("\n") + 1);
    } else if (it === "\\(") {
      inline = at;
    } else if (it === "\\[") {
      [display, displayLine] = [at, line];
    } else if (it === "\\)" && inline >= 0) {
      const inside = text.slice(inline + 2, at);
      if (isFormula(inside)) formulas.push({ start: inline, end: at + 2, inside });
      inline = -1;
    } else if (it === "\\]" && display >= 0) {
      const inside = text.slice(display + 2, at);
      if (isFormula(inside) && isDisplay(text, display, inside)) {
        while (formulas.at(-1)?.start > display) formulas.pop(); // inside this one
        formulas.push({ start: display, end: at + 2, inside, line: displayLine });
        inline = -1;
      }
      display = -1;
    }
    if (it.endsWith("\n")) line = at + it.length;
  }

  const pieces = [];
  let done = 0;
  for (const formula of formulas) {
    const isLast = lineIsOver(text, formula.end);
    pieces.push(text.slice(done, formula.start));
    if (formula.line === undefined) pieces.push(`$$${formula.inside.replace(/\n\s*/g, " ")}$$`);
    else pieces.push(displayed(text, formula), isLast ? "" : `\n${marginOf(text, formula)}`);
    done = formula.end;
  }
  return pieces.join("") + text.slice(done);
}

function endOfCode(text, start, length) {
  const run = /`+/g;
  run.lastIndex = start + length;
  while (run.exec(text)[0].length !== length);
  return run.lastIndex;
}

function isFormula(inside) {
  return inside.length <= MAX_CHARS && inside.trim() !== "" && !inside.includes("$$");
}

function isDisplay(text, start, inside) {
  const standsFree = start === 0 || /\s/.test(text[start - 1]);
  return standsFree && (/^\s[^]*\s$/.test(inside) || SIGN.test(inside));
}

/** On lines of its own, in the same list or quotation. */
function displayed(text, formula) {
  const margin = marginOf(text, formula);
  const isFirst = margin.length === formula.start - formula.line;
  const lines = formula.inside.trim().split("\n");
  const bare = margin.includes(">") ? lines.map((line) => line.replace(/^[ \t>]+/, "")) : lines;
  const shown = ["$$", ...bare.map((line) => line.trim()).filter(Boolean), "$$"];
  return (isFirst ? "" : `\n${margin}`) + shown.join(`\n${margin}`);
}

/** What the next line must begin with to be in the same lists and quotations. */
function marginOf(text, { line, start }) {
  return CONTAINERS.exec(text.slice(line, Math.min(start, line + 80)))[0].replace(/[^\s>]/g, " ");
}

function lineIsOver(text, at) {
  while (text[at] === " " || text[at] === "\t") at += 1;
  return at >= text.length || text[at] === "\n";
}
