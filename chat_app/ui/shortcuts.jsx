/** Keyboard shortcuts that work everywhere on the page, and the dialog that lists them. */
import { useEffect, useRef } from "react";
import { useNavigate } from "react-router";

const KEYS = [
  ["Search chats", "Ctrl K"],
  ["New chat", "Ctrl Shift O"],
  ["Send message", "Enter"],
  ["New line", "Shift Enter"],
  ["Stop generating", "Esc"],
  ["Edit last message (from an empty box)", "↑"],
  ["Move through the chat list", "↑ ↓"],
  ["Jump to the latest answer", "Ctrl Shift L"],
  ["Show this help", "? or Ctrl /"],
];

export function Shortcuts() {
  const dialog = useRef(null);
  const navigate = useNavigate();
  useEffect(() => {
    const onKeyDown = (event) => {
      if (event.isComposing || document.querySelector("dialog[open]")) return;
      const act = actionOf(event, { help: () => dialog.current.showModal(), navigate });
      if (!act) return;
      event.preventDefault();
      act();
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, []);
  return (
    <>
      <button type="button" className="nav-link shortcuts-button" data-testid="shortcuts" onClick={() => dialog.current.showModal()}>
        Keyboard shortcuts
      </button>
      <dialog ref={dialog} className="dialog" aria-labelledby="shortcuts-title" data-testid="shortcuts-dialog" onClick={closeOnBackdrop}>
        <div className="dialog-body">
          <h2 id="shortcuts-title">Keyboard shortcuts</h2>
          <dl>
            {KEYS.map(([what, keys]) => (
              <div key={what}>
                <dt>{what}</dt>
                <dd>{keys.split(" ").map((key) => (key === "or" ? " or " : <kbd key={key}>{key}</kbd>))}</dd>
              </div>
            ))}
          </dl>
          <form method="dialog">
            <button className="text-button">Close</button>
          </form>
        </div>
      </dialog>
    </>
  );
}

function actionOf(event, { help, navigate }) {
  const command = (event.ctrlKey || event.metaKey) && !event.altKey;
  const key = event.key.toLowerCase();
  if (command && !event.shiftKey && key === "k") return search;
  if (command && event.shiftKey && key === "o") return () => startNewChat(navigate);
  if (command && event.shiftKey && key === "l") return goToAnswer;
  if (command && key === "/") return help;
  const writing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (!command && key === "?" && !writing) return help;
  return null;
}

function search() {
  const field = document.getElementById("chat-search");
  const drawer = field.closest("[popover]");
  const narrow = !matchMedia("(min-width: 48rem)").matches;
  if (narrow && !drawer.matches(":popover-open")) drawer.showPopover();
  requestAnimationFrame(() => requestAnimationFrame(() => {
    field.focus();
    field.select();
  }));
}

function startNewChat(navigate) {
  document.querySelector(".sidebar:popover-open")?.hidePopover();
  navigate("/");
  document.querySelector("[data-testid=prompt]")?.focus();
}

function goToAnswer() {
  [...document.querySelectorAll(".answer")].at(-1)?.focus();
}

function closeOnBackdrop(event) {
  if (event.target === event.currentTarget) event.currentTarget.close();
}
