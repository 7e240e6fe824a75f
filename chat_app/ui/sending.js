/**
 * The prompt that was sent and that the server has neither accepted nor refused yet. The page shows
 * it at once: nobody should wait for the network to see their own words.
 *
 * There is one at a time. It is kept here because a new chat gets a page of its own with its first
 * prompt, and that page builds everything anew.
 */
import { useSyncExternalStore } from "react";
import { useLocation } from "react-router";

/** Without any reply for so long, e.g. because the server restarts, the prompt may be sent again. */
const NO_REPLY_MS = 15_000;

const NOTHING = Object.freeze({ prompt: null, unansweredId: "" });
let state = NOTHING;
let timer;
const listeners = new Set();

/**
 * @param {object} prompt
 * @param {string} prompt.id
 * @param {string} prompt.text
 * @param {string} prompt.place Path of the page it was sent from.
 * @param {string} [prompt.editedId] The prompt in whose place it stands.
 */
export function showSent(prompt) {
  clearTimeout(timer);
  timer = setTimeout(() => change({ prompt: null, unansweredId: prompt.id }), NO_REPLY_MS);
  change({ prompt, unansweredId: "" });
}

/** The server has spoken: the prompt is among the messages now, or its text is its writer's again. */
export function settleSent() {
  clearTimeout(timer);
  if (state !== NOTHING) change(NOTHING);
}

/** The prompt that is on its way from this page, or null. */
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
