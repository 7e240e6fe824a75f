/**
 * A column that stays at its end while the reader is there, and lets go when the reader scrolls up.
 * After a refresh it is where it was left, and it stays put when earlier messages are added above.
 * Ctrl P fetches all of the chat before it prints.
 */
import { useEffect, useLayoutEffect, useRef, useState } from "react";

import { useSent } from "$/public/external/chat_app/ui/sending/sending.js";

const NEAR_PX = 80;
/** Earlier messages are requested when the reader is this close to the top. */
const EARLIER_PX = 1_200;
const LEFT_AT = "chat.scroll";

/**
 * @param {object} props
 * @param {string} props.chatId The chat that is shown.
 * @param {string} props.followKey When it changes (new chat, new prompt), the end is shown again.
 * @param {number} props.earlier How many messages precede those that are shown.
 * @param {() => void} [props.onEarlier] Called when they are wanted.
 */
export function ScrollArea({ chatId, followKey, earlier, onEarlier, children }) {
  const area = useRef(null);
  const content = useRef(null);
  const sticks = useRef(true);
  const top = useRef(0); // the last scroll position
  const asked = useRef(null);
  const height = useRef(0);
  const printing = useRef(false);
  const [away, setAway] = useState(false);
  const [fresh, setFresh] = useState(false);
  const sentId = useSent()?.id;

  const toEnd = () => {
    if (!area.current) return;
    area.current.scrollTop = area.current.scrollHeight;
    top.current = area.current.scrollTop;
  };
  const follow = () => {
    sticks.current = true;
    setAway(false);
    setFresh(false);
    toEnd();
  };

  const askForEarlier = () => {
    asked.current = earlier;
    height.current = area.current.scrollHeight;
    onEarlier?.();
  };
  /** Goes back to where the reader was before a refresh, which may not be loaded yet. */
  const seek = () => {
    const found = goBack(area.current, chatId);
    if (found) onScroll();
    else if (found === null && earlier > 0) askForEarlier();
  };

  useLayoutEffect(() => {
    printing.current = false;
    follow();
    seek();
  }, [followKey]);
  useLayoutEffect(() => {
    if (sentId) follow();
  }, [sentId]);
  useLayoutEffect(() => {
    // What was added above has pushed down what the reader is looking at.
    if (asked.current !== null && !sticks.current) {
      area.current.scrollTop += area.current.scrollHeight - height.current;
    }
    asked.current = null;
    seek();
    // What does not fill the screen cannot be scrolled to ask for more.
    const { scrollHeight, clientHeight } = area.current;
    if (earlier > 0 && asked.current === null && scrollHeight < 2 * clientHeight) askForEarlier();
    if (!printing.current) return;
    if (earlier > 0) return askForEarlier();
    printing.current = false;
    requestAnimationFrame(() => requestAnimationFrame(() => window.print()));
  }, [earlier]);
  useEffect(() => {
    const onKeyDown = (event) => {
      const prints = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "p";
      if (!prints || earlier === 0 || printing.current) return; // a second press prints what is there
      event.preventDefault();
      printing.current = true;
      askForEarlier();
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, [earlier]);
  useEffect(() => {
    let grown = content.current.offsetHeight;
    const observer = new ResizeObserver(() => {
      if (sticks.current) toEnd();
      else if (content.current.offsetHeight > grown && isAnswered(content.current)) setFresh(true);
      grown = content.current.offsetHeight;
    });
    observer.observe(content.current);
    observer.observe(area.current);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    const leave = () => remember(area.current, chatId, sticks.current);
    window.addEventListener("pagehide", leave);
    return () => window.removeEventListener("pagehide", leave);
  }, [chatId]);

  const onScroll = () => {
    const { scrollHeight, scrollTop, clientHeight } = area.current;
    const isNear = scrollHeight - scrollTop - clientHeight <= NEAR_PX;
    // New content moves the end away, and may arrive before the event of the last scroll.
    sticks.current = isNear || (sticks.current && scrollTop >= top.current);
    top.current = scrollTop;
    setAway(!sticks.current);
    if (sticks.current) setFresh(false);
    const goesBack = scrollTop < EARLIER_PX && !sticks.current;
    if (goesBack && earlier > 0 && asked.current !== earlier) askForEarlier();
  };

  return (
    <div className="scroll-frame">
      <div ref={area} className="scroll-area" data-testid="scroll-area" onScroll={onScroll}>
        <div ref={content}>{children}</div>
      </div>
      {away && (
        <button
          type="button"
          className="jump"
          data-testid="jump"
          aria-label={fresh ? "Jump to the latest message (new text)" : "Jump to the latest message"}
          onClick={follow}
        >
          <svg width="18" height="18" viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="2" aria-hidden="true">
            <path d="M12 5v14m-6-6 6 6 6-6" strokeLinecap="round" strokeLinejoin="round" />
          </svg>
          {fresh && <span className="jump-mark" data-testid="new-text" />}
        </button>
      )}
    </div>
  );
}

/** Whether an answer is being written: any other growth is not new text. */
function isAnswered(content) {
  return content.querySelector("[data-answering=true]") !== null;
}

/** Stores which message was at the top, and its offset: heights may differ the next time. */
function remember(area, chatId, sticks) {
  const top = area.getBoundingClientRect().top;
  const first = [...area.querySelectorAll("[data-message-id]")].find(
    (message) => message.getBoundingClientRect().bottom > top,
  );
  if (sticks || !first) return sessionStorage.removeItem(LEFT_AT);
  const offset = first.getBoundingClientRect().top - top;
  return sessionStorage.setItem(LEFT_AT, JSON.stringify({ chatId, messageId: first.dataset.messageId, offset }));
}

/**
 * Scrolls to what was shown when the page was left. False if that is unknown or was another chat,
 * null if the message is not loaded.
 */
function goBack(area, chatId) {
  const left = JSON.parse(sessionStorage.getItem(LEFT_AT) ?? "null");
  if (!chatId || !left) return false;
  const message = area.querySelector(`[data-message-id="${CSS.escape(left.messageId)}"]`);
  if (left.chatId === chatId && !message) return null;
  sessionStorage.removeItem(LEFT_AT);
  if (!message) return false;
  area.scrollTop += message.getBoundingClientRect().top - area.getBoundingClientRect().top - left.offset;
  return true;
}
