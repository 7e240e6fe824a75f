/**
 * What the model thought before it answered: folded, to be opened at any time. It stays as the
 * reader has put it when the answer begins, and when it ends.
 */
import { useEffect, useRef, useState } from "react";

/**
 * @param {object} props
 * @param {string} props.text
 * @param {boolean} props.thinking Whether the answer itself has yet to begin.
 */
export function Reasoning({ text, thinking }) {
  const [open, setOpen] = useState(false);
  const seconds = useSeconds(thinking);
  return (
    <div className="reasoning" data-testid="reasoning">
      <button type="button" className="reasoning-fold" aria-expanded={open} onClick={() => setOpen(!open)}>
        <span className={thinking ? "reasoning-now" : undefined}>{titleOf(thinking, seconds)}</span>
        <svg width="14" height="14" viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="2" aria-hidden="true">
          <path d="m9 6 6 6-6 6" strokeLinecap="round" strokeLinejoin="round" />
        </svg>
      </button>
      {open && <div className="reasoning-text">{text}</div>}
    </div>
  );
}

function titleOf(thinking, seconds) {
  if (thinking) return "Thinking…";
  return seconds === null ? "Thoughts" : `Thought for ${seconds} s`;
}

/** How long it took, if all of it was seen; null before, and for what was thought at another time. */
function useSeconds(thinking) {
  const since = useRef(null);
  const [seconds, setSeconds] = useState(null);
  useEffect(() => {
    if (thinking) since.current ??= performance.now();
    else if (since.current !== null) {
      setSeconds(Math.max(1, Math.round((performance.now() - since.current) / 1_000)));
      since.current = null;
    }
  }, [thinking]);
  return seconds;
}
