/**
 * The prompt that was sent and that the server has neither accepted nor refused yet. The page shows
 * it at once: readers should not wait for the network to see their own words.
 *
 * There is one at a time. It is kept outside the components, because the first prompt of a new chat
 * leads to another page, which rebuilds them all.
 */
import { useSyncExternalStore } from "react";
import { useLocation } from "react-router";

/** Without a reply for this long, e.g. during a restart, the reader may try again. */
export const NO_REPLY_MS = 15_000;

const NOTHING = Object.freeze({ prompt: null, unansweredId: "" });
let state = NOTHING;
let timer;
const listeners = new Set();

/** An id for a prompt: 128 random bits as hex; `crypto.randomUUID` is missing on plain-http pages. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * @param {object} prompt
 * @param {string} prompt.id
 * @param {string} prompt.text
 * @param {string} prompt.place Path of the page it was sent from.
 * @param {string} [prompt.editedId] The prompt it is an edit of, in whose place it is shown.
 */
export function showSent(prompt) {
  clearTimeout(timer);
  timer = setTimeout(() => change({ prompt: null, unansweredId: prompt.id }), NO_REPLY_MS);
  change({ prompt, unansweredId: "" });
}

/** The server has replied: the prompt is a message now, or its text is back in the box. */
export function settleSent() {
  clearTimeout(timer);
  if (state !== NOTHING) change(NOTHING);
}

/** The prompt on its way from this page, or null. */
export function useSent() {
  const { prompt } = useSyncExternalStore(subscribe, () => state, () => NOTHING);
  const place = useLocation().pathname;
  return prompt?.place === place ? prompt : null;
}

/** Id of the prompt that got no reply in time; "" for none. */
export function useUnanswered() {
  return useSyncExternalStore(subscribe, () => state, () => NOTHING).unansweredId;
}

function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function change(next) {
  state = next;
  for (const listener of listeners) listener();
}
