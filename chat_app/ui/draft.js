/**
 * Unsent text, kept across a refresh for each chat and for each prompt that is being edited. A
 * draft that was sent keeps the id it was sent under: after a refresh it is sent as the same
 * prompt, or recognised as accepted. Each tab has its own drafts; a new tab starts with the latest
 * text, but does not send what waits in another one.
 *
 * @typedef {object} Draft
 * @property {string} text
 * @property {string} [id] Of the prompt that it will be, or was sent as.
 * @property {boolean} [tried] Whether it was sent under that id.
 * @property {boolean} [waits] Whether it is to be sent as soon as the answer has ended.
 */
const PREFIX = "chat.draft.";
/** Beyond this many, the oldest are forgotten. */
const MAX_DRAFTS = 50;

/** @param {string} place The page's path. @returns {string} Id of the chat there; "" for a new one. */
export function chatAt(place) {
  return place.split("/").filter(Boolean)[1] ?? "";
}

/** @param {string} place The page's path, then the id of a prompt that is edited there. */
function keyOf(place) {
  return PREFIX + (place.split("/").filter(Boolean).slice(1).join(".") || "new");
}

/**
 * @param {string} place The page's path.
 * @param {{accepted: string}} server Id of the newest prompt the server has accepted.
 * @returns {Draft} Without its text if the server has accepted it.
 */
export function readDraft(place, { accepted }) {
  const draft = parsed(get(keyOf(place)));
  return draft.id && draft.id === accepted ? { text: "", id: accepted, tried: true } : draft;
}

/** @param {Draft} draft */
export function keepDraft(place, draft) {
  // An id that was never sent belongs to this tab: another text in another tab is another prompt.
  const shared = draft.tried ? { text: draft.text, id: draft.id, tried: true } : { text: draft.text };
  try {
    for (const [storage, kept] of [[sessionStorage, draft], [localStorage, shared]]) {
      if (draft.text === "") storage.removeItem(keyOf(place));
      else storage.setItem(keyOf(place), JSON.stringify({ ...kept, at: Date.now() }));
    }
    if (localStorage.length > MAX_DRAFTS) forgetOldest();
  } catch {
    // No room, or no permission: a refresh loses the draft.
  }
}

/** Move what was written here to another place. */
export function moveDraft(place, other) {
  keepDraft(other, { text: readDraft(place, { accepted: "" }).text });
  keepDraft(place, { text: "" });
}

/** Forget the draft that was sent under this id, wherever it was written. */
export function forgetDraft(id) {
  forget((key, draft) => draft.id === id);
}

/** Forget all drafts in a chat. */
export function forgetDraftsIn(chatId) {
  forget((key) => key === PREFIX + chatId || key.startsWith(`${PREFIX}${chatId}.`));
}

function forget(matches) {
  try {
    for (const storage of [sessionStorage, localStorage]) {
      for (const key of keys(storage)) {
        if (matches(key, parsed(storage.getItem(key)))) storage.removeItem(key);
      }
    }
  } catch {
    // Without permission to store, there are no drafts.
  }
}

function forgetOldest() {
  const at = (key) => parsed(localStorage.getItem(key)).at;
  const byAge = keys(localStorage).sort((one, other) => at(one) - at(other));
  for (const key of byAge.slice(0, -MAX_DRAFTS)) localStorage.removeItem(key);
}

function keys(storage) {
  return Object.keys(storage).filter((key) => key.startsWith(PREFIX));
}

function get(key) {
  try {
    return sessionStorage.getItem(key) ?? localStorage.getItem(key);
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
