/**
 * Buttons for what only the server can do: write another answer, or continue one. A pressed button
 * shows at once that its action is pending, and no other action begins until the server replies.
 */
import { useSyncExternalStore } from "react";

import { NO_REPLY_MS } from "$/public/external/chat_app/ui/sending/sending.js";

let pending = "";
let timer;
const listeners = new Set();

/** The server has replied: it shows something else now, or has refused. */
export function settlePending() {
  clearTimeout(timer);
  change("");
}

/**
 * @param {object} props Those of a button, and:
 * @param {string} props.action Identifies it among the actions on the page.
 * @param {() => void} props.onClick Called unless an action is pending.
 */
export function PendingButton({ action, onClick, children, ...rest }) {
  const current = useSyncExternalStore(subscribe, () => pending, () => "");
  const press = () => {
    if (pending) return;
    timer = setTimeout(settlePending, NO_REPLY_MS);
    change(action);
    onClick?.();
  };
  // Not `disabled`: that would take the focus away, and a refusal makes the button usable again.
  return (
    <button type="button" {...rest} aria-disabled={current !== ""} aria-busy={current === action} onClick={press}>
      {current === action && <span className="spinner" />}
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
