/**
 * Buttons for what only the server can grant: another answer, or more of one. A wish shows at once
 * that it was taken, and there is no second one until the server has spoken.
 */
import { useSyncExternalStore } from "react";

/** Without any reply for so long, the reader may try again. */
const NO_REPLY_MS = 15_000;

let pending = "";
let timer;
const listeners = new Set();

/** The server has spoken, by what it shows now or by a refusal. */
export function settleWish() {
  clearTimeout(timer);
  change("");
}

/**
 * @param {object} props As of a button.
 * @param {string} props.wish Tells it from the other wishes on the page.
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
  // Not `disabled`: that would take the focus away, and a refusal gives the button back.
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
