/**
 * Colours for code. The highlighter is fetched when the first block of code with a language is
 * shown: most pages need none.
 */

/** Longer code has no colours: a growing block is highlighted again with each delta. */
const MAX_CHARS = 30_000;

let highlight = null;
let loading = null;
const listeners = new Set();

/** The function that colours code, fetched if `language` is not ""; null until it is there. */
export function highlighter(language) {
  if (language) loading ??= load();
  return highlight;
}

export function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

async function load() {
  try {
    const { createLowlight, common } = await import("lowlight");
    const lowlight = createLowlight(common);
    highlight = (code, language) =>
      code.length <= MAX_CHARS && lowlight.registered(language)
        ? lowlight.highlight(language, code).children
        : null;
    for (const listener of listeners) listener();
  } catch {
    loading = null; // the network failed: code is readable without colours, and the next block tries again
  }
}
