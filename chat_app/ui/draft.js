/**
 * What is written and not yet sent, kept for each chat over a refresh. A draft that was sent bears
 * the id it was sent under: loaded again, it is sent as the same prompt, or is known to be there.
 */
const PREFIX = "chat.draft.";
/** The oldest ones go first when there are more than this. */
const MOST = 50;

/** @param {string} place The page's path: one place for each chat, and one for a new one. */
function keyOf(place) {
  return PREFIX + (place.split("/").filter(Boolean)[1] ?? "new");
}

/**
 * @param {string} place The page's path.
 * @param {{accepted: string}} server Id of the newest prompt the server has.
 * @returns {{text: string, id?: string}} Without its text if the server has it.
 */
export function readDraft(place, { accepted }) {
  const draft = parsed(get(keyOf(place)));
  return draft.id && draft.id === accepted ? { text: "", id: accepted } : draft;
}

/** @param {{text: string, id?: string}} draft `id` once it was sent. */
export function keepDraft(place, draft) {
  try {
    if (draft.text === "") localStorage.removeItem(keyOf(place));
    else localStorage.setItem(keyOf(place), JSON.stringify({ ...draft, at: Date.now() }));
    if (localStorage.length > MOST) forgetOldest();
  } catch {
    // No room, or no permission: then a refresh forgets it.
  }
}

/** Forget the draft that was sent under this id, wherever it was written. */
export function forgetDraft(id) {
  for (const key of keys()) if (parsed(get(key)).id === id) localStorage.removeItem(key);
}

function forgetOldest() {
  const byAge = keys().sort((one, other) => parsed(get(one)).at - parsed(get(other)).at);
  for (const key of byAge.slice(0, -MOST)) localStorage.removeItem(key);
}

function keys() {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
  } catch {
    return [];
  }
}

function get(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function parsed(value) {
  try {
    return { text: "", ...JSON.parse(value) };
  } catch {
    return { text: "" };
  }
}
