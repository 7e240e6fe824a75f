/**
 * Announces that an answer has begun and how it ended: to a screen reader in a few words, never the
 * text itself; to a reader who is elsewhere by the tab's title and, if wanted, a notification.
 */
import { useEffect, useRef, useState } from "react";

const ENDINGS = {
  complete: "Answer complete.",
  stopped: "Answer stopped.",
  failed: "Answer failed.",
  interrupted: "Answer interrupted.",
};
const BADGE = "● ";
const DECLINED = "chat.notify.declined";

/** The tab's title without the mark; "" while there is no mark. */
let unmarked = "";

/**
 * @param {object} props
 * @param {string} props.chatId
 * @param {string} props.chatTitle
 * @param {boolean} props.answering
 * @param {string} props.ended How the newest answer ended; "" while it is being written.
 */
export function Notices({ chatId, chatTitle, answering, ended }) {
  const [said, setSaid] = useState("");
  const [offered, setOffered] = useState(false);
  const answered = useRef(null); // the chat that is being answered

  useEffect(() => {
    if (answering) {
      answered.current = chatId;
      setSaid("Generating…");
      return;
    }
    const ending = ENDINGS[ended];
    if (answered.current === chatId && ending) {
      setSaid(ending);
      if (document.hidden) notifyElsewhere(chatId, chatTitle, ending, () => setOffered(isUndecided()));
    } else setSaid("");
    answered.current = null;
  }, [chatId, answering, ended]);

  const decide = (wanted) => {
    setOffered(false);
    if (wanted) Notification.requestPermission();
    else localStorage.setItem(DECLINED, "1");
  };
  return (
    <>
      <div role="status" className="sr-only" data-testid="said">{said}</div>
      {offered && (
        <div className="offer" role="group" aria-label="Notifications" data-testid="offer">
          <span>Get notified when an answer is ready?</span>
          <button type="button" className="quiet-button" onClick={() => decide(true)}>Notify me</button>
          <button type="button" className="quiet-button" onClick={() => decide(false)}>No thanks</button>
        </div>
      )}
    </>
  );
}

/** Marks the tab's title until the reader is back; `onReturn` may then offer notifications. */
function notifyElsewhere(chatId, chatTitle, ending, onReturn) {
  unmarked ||= document.title;
  const title = chatTitle || unmarked;
  document.title = BADGE + title;
  document.addEventListener(
    "visibilitychange",
    () => {
      if (unmarked) document.title = unmarked;
      unmarked = "";
      onReturn();
    },
    { once: true },
  );
  if (!("Notification" in window) || Notification.permission !== "granted") return;
  try {
    const notification = new Notification(title, { body: ending, tag: chatId });
    notification.onclick = () => {
      window.focus();
      notification.close();
    };
  } catch {
    // Chrome on Android has the constructor, but it throws: there the mark in the title must do.
  }
}

function isUndecided() {
  return "Notification" in window && Notification.permission === "default" && !localStorage.getItem(DECLINED);
}
