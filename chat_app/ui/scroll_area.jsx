/**
 * A column that stays at its end while the reader is there, and lets go when the reader is not.
 */
import { useEffect, useLayoutEffect, useRef, useState } from "react";

const NEAR_PX = 80;

/**
 * @param {object} props
 * @param {string} props.followKey When it changes, the end is shown again: another chat, a new prompt.
 */
export function ScrollArea({ followKey, children }) {
  const area = useRef(null);
  const content = useRef(null);
  const sticks = useRef(true);
  const [away, setAway] = useState(false);

  const toEnd = () => {
    if (area.current) area.current.scrollTop = area.current.scrollHeight;
  };
  const follow = () => {
    sticks.current = true;
    setAway(false);
    toEnd();
  };

  useLayoutEffect(follow, [followKey]);
  useEffect(() => {
    const observer = new ResizeObserver(() => sticks.current && toEnd());
    observer.observe(content.current);
    observer.observe(area.current);
    return () => observer.disconnect();
  }, []);

  const onScroll = () => {
    const { scrollHeight, scrollTop, clientHeight } = area.current;
    sticks.current = scrollHeight - scrollTop - clientHeight <= NEAR_PX;
    setAway(!sticks.current);
  };

  return (
    <div className="scroll-frame">
      <div ref={area} className="scroll-area" data-testid="scroll-area" onScroll={onScroll}>
        <div ref={content}>{children}</div>
      </div>
      {away && (
        <button type="button" className="jump" aria-label="Jump to the latest message" onClick={follow}>
          <svg width="18" height="18" viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="2" aria-hidden="true">
            <path d="M12 5v14m-6-6 6 6 6-6" strokeLinecap="round" strokeLinejoin="round" />
          </svg>
        </button>
      )}
    </div>
  );
}
