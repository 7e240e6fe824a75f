/**
 * What the model thought before it answered: collapsed until the reader opens it. It stays open or
 * collapsed, as the reader left it, when the answer begins and when it ends.
 */
import { useState } from "react";

/**
 * @param {object} props
 * @param {string} props.text
 * @param {boolean} props.thinking Whether the answer itself has yet to begin.
 * @param {number} props.thoughtMs How long it took; 0 if unknown.
 */
export function Reasoning({ text, thinking, thoughtMs }) {
  const [open, setOpen] = useState(false);
  return (
    <div className="reasoning" data-testid="reasoning">
      <button type="button" className="reasoning-fold" aria-expanded={open} onClick={() => setOpen(!open)}>
        <span className={thinking ? "reasoning-now" : undefined}>{titleOf(thinking, thoughtMs)}</span>
        <svg width="14" height="14" viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="2" aria-hidden="true">
          <path d="m9 6 6 6-6 6" strokeLinecap="round" strokeLinejoin="round" />
        </svg>
      </button>
      {open && <div className="reasoning-text">{text}</div>}
    </div>
  );
}

/** In whole seconds, and at least one. */
function titleOf(thinking, thoughtMs) {
  if (thinking) return "Thinking…";
  return thoughtMs ? `Thought for ${Math.max(1, Math.round(thoughtMs / 1_000))} s` : "Thoughts";
}
