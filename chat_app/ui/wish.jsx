/**
 * Buttons for what only the server can do: write another answer, or continue one. Such a wish shows
 * at once that it was made, and there is no second one until the server replies.
 */
import { useSyncExternalStore } from "react";

import { NO_REPLY_MS } from "$/public/external/chat_app/ui/sending/sending.js";

let pending = "";
let timer;
const listeners = new Set();

/** The server has replied: it shows something else now, or has refused. */
export function settleWish() {
  clearTimeout(timer);
  change("");
}

/**
 * @param {object} props Those of a button, and:
 * @param {string} props.wish Identifies it among the wishes on the page.
 * @param {() => void} props.onClick Called unless a wish is pending.
 */
export function WishButton({ wish, onClick, children, ...rest }) {
  const taken = useSyncExternalStore(subscribe, () => pending, () => "");
  const utter = () => {
    if (pending) return;
    timer = setTimeout(settleWish, NO_REPLY_MS);
    change(wish);
    onClick?.();
  };
  // Not `disabled`: that would take the focus away, and a refusal makes the button usable again.
  return (
    <button type="button" {...rest} aria-disabled={taken !== ""} aria-busy={taken === wish} onClick={utter}>
      {taken === wish && <span className="spinner" />}
      {children}
    </button>
  );
}

function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function change(next) {
  if (next === pending) return;
  pending = next;
  for (const listener of listeners) listener();
}
