/**
 * Where a prompt is written. What is sent is shown in the conversation at once; it is forgotten here
 * only when the server says that it has it, and comes back if it is refused or nothing is heard of
 * it. A prompt that is sent again keeps its id: it can never become two turns. What is not sent yet
 * is kept in the browser, for each chat. What is sent during an answer waits here for its end.
 */
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { PrefetchPageLinks, useLocation, useNavigate } from "react-router";

import { settleSent, showSent, useSent, useUnanswered } from "$/public/external/chat_app/ui/sending/sending.js";
import { settleWish } from "$/public/external/chat_app/ui/wish/wish.jsx";

import { staysAt, useDestination } from "./destination.js";
import { chatAt, forgetDraft, keepDraft, moveDraft, readDraft } from "./draft.js";

const MAX_HEIGHT_PX = 220;
const WAIT = "The answer is being written. Press Enter to send this when it has ended.";
/** Without any reply for so long, a stop may be wished again. */
const NO_REPLY_MS = 15_000;
const MISHAPS = new Set(["failed", "interrupted"]);
const NO_REPLY = "The server has not answered. Send it again: it stays one message.";

/**
 * @param {object} props
 * @param {string} props.view What the page shows; a prompt is taken in a `chat` and a `new` one.
 * @param {string} props.shown The chat of which the next two tell; maybe one the reader has left.
 * @param {boolean} props.answering Whether an answer is being written: Send becomes Stop.
 * @param {string} props.ended How the newest answer ended; "" while it is being written.
 * @param {string} props.accepted Id of the newest prompt the server has.
 * @param {number} props.refusals How many wishes the server has refused on this page.
 * @param {number} props.maxChars The longest prompt that the server takes; 0 while it is not known.
 * @param {(chatId: string, text: string, messageId: string) => void} props.onSend
 * @param {() => void} props.onStop
 */
export function Composer({ view, shown, answering, ended, accepted, refusals, maxChars, onSend, onStop }) {
  const box = useRef(null);
  const place = useLocation().pathname;
  const navigate = useNavigate();
  useDestination();
  const [text, setText] = useState("");
  const [textAt, setTextAt] = useState(null); // the place it was written at
  const [prompt, setPrompt] = useState(newPrompt);
  const ready = view === "chat" || view === "new";
  const wasReady = useRef(false);
  wasReady.current ||= ready;
  const begun = useRef(""); // the prompt that was sent from the empty page
  const [stopping, setStopping] = useState(false);
  const [waitsAt, setWaitsAt] = useState(null); // the chat whose answer the text waits for
  const waits = answering && waitsAt === place;
  const sent = useSent();
  const sending = sent?.id === prompt.id;
  const unanswered = useUnanswered() === prompt.id;

  useLayoutEffect(() => {
    // Not before: the server renders this too, and knows no drafts.
    const draft = readDraft(place, { accepted });
    setText(draft.text);
    setTextAt(place);
    setPrompt(draft.id ? { id: draft.id, tried: true } : newPrompt());
  }, [place]);
  useEffect(() => {
    settleSent();
    // Wherever it was written; the empty page's own draft has its turn below.
    if (place !== "/" || readDraft(place, { accepted: "" }).id !== accepted) forgetDraft(accepted);
  }, [accepted]);
  useEffect(() => {
    const known = accepted === prompt.id;
    if (known) {
      forgetDraft(accepted);
      setText("");
      setPrompt(newPrompt());
    }
    // A new chat has the id of its first prompt. Who goes elsewhere meanwhile is not called back.
    const begins = place === "/" && (known || (begun.current && begun.current === accepted));
    if (!begins || !staysAt(place)) return;
    if (!known) moveDraft(place, `/chat/${accepted}`); // another text, as nothing had been heard
    navigate(`/chat/${accepted}`);
  }, [accepted, prompt.id]);
  useEffect(settleSent, [refusals]);
  useEffect(settleWish, [refusals, place]);
  useEffect(() => setStopping(false), [answering, refusals, shown, place]);
  useEffect(() => {
    // What is told may be of the chat that was left, or nothing yet.
    const told = ready && shown === chatAt(place) && textAt === place && staysAt(place);
    if (answering || !told || waitsAt !== place) return;
    setWaitsAt(null);
    if (!MISHAPS.has(ended)) send();
  }, [answering, ready, shown, textAt, place]);
  useEffect(() => {
    // On a touch screen the focus would bring up the keyboard; elsewhere somebody may have it.
    const free = document.activeElement === document.body;
    if (ready && free && matchMedia("(hover: hover)").matches) box.current.focus();
  }, [ready, place]);
  useLayoutEffect(() => {
    box.current.style.height = "auto";
    box.current.style.height = `${Math.min(box.current.scrollHeight, MAX_HEIGHT_PX)}px`;
  }, [text, sending]);
  useEffect(() => {
    if (!stopping) return undefined;
    const timer = setTimeout(() => setStopping(false), NO_REPLY_MS); // lost with its connection
    return () => clearTimeout(timer);
  }, [stopping]);
  useEffect(() => {
    if (!answering || stopping) return undefined;
    const onKeyDown = (event) => {
      // Escape closes what is open, and leaves a field, before it stops anything.
      const taken = event.defaultPrevented || document.querySelector(":popover-open:not(.toast), dialog[open], .toast:focus-within");
      if (event.key === "Escape" && !event.isComposing && !taken) stop();
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, [answering, stopping, onStop]);

  const surplus = maxChars && text.length > maxChars ? [...text].length - maxChars : 0;
  const hint = hintOf({ view, ready, surplus, text, answering, sending: sent !== null });
  const sendable = hint === "";
  const edit = (event) => {
    setText(event.target.value);
    setWaitsAt((at) => (at === place ? null : at));
    keepDraft(place, { text: event.target.value });
    // Another text is another prompt, even if the first one is refused only later.
    if (prompt.tried) setPrompt(newPrompt());
  };
  function send() {
    if (answering && hint === WAIT) setWaitsAt(place);
    if (!sendable || !staysAt(place)) return;
    setPrompt({ ...prompt, tried: true });
    keepDraft(place, { text, id: prompt.id });
    if (place === "/") begun.current = prompt.id;
    showSent({ id: prompt.id, text, place });
    onSend(chatAt(place), text, prompt.id);
  }
  const onKeyDown = (event) => {
    // While an input method composes, Enter chooses a character.
    if (event.nativeEvent.isComposing) return;
    if (event.key === "ArrowUp" && text === "" && !answering) {
      event.preventDefault();
      window.dispatchEvent(new CustomEvent("chat:edit-last"));
    }
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    send();
  };
  function stop() {
    setStopping(true);
    onStop();
    box.current.focus(); // Stop turns into Send, and would take the focus with it
  }

  return (
    <form
      className="composer"
      data-testid="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      {/* The other page, so that who goes there does not wait for the network. */}
      <PrefetchPageLinks page={place === "/" ? "/chat/new" : "/"} />
      <textarea
        ref={box}
        rows={1}
        value={sending ? "" : text}
        disabled={!wasReady.current}
        aria-describedby="composer-hint"
        aria-invalid={surplus > 0}
        readOnly={sending || view === "not_found"}
        placeholder="Ask anything"
        aria-label="Your message"
        enterKeyHint="send"
        data-testid="prompt"
        onChange={edit}
        onKeyDown={onKeyDown}
      />
      {answering ? (
        <button type="button" className="round-button" data-testid="stop" disabled={stopping} aria-label="Stop the answer" title="Stop (Esc)" aria-keyshortcuts="Escape" onClick={stop}>
          <svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true"><rect width="14" height="14" rx="3" fill="currentColor" /></svg>
        </button>
      ) : (
        <button type="submit" className="round-button" data-testid="send" disabled={!sendable} aria-label="Send" aria-describedby="composer-hint" title={hint || "Send (Enter)"}>
          {sending ? <span className="spinner" /> : <SendIcon />}
        </button>
      )}
      {waits && (
        <p className="composer-hint waits" role="status" data-testid="waits">
          Sent as soon as the answer has ended.
          <button type="button" className="text-button" onClick={() => setWaitsAt(null)}>Cancel</button>
        </p>
      )}
      <p id="composer-hint" className={surplus || unanswered ? "composer-hint" : "sr-only"} role={surplus || unanswered ? "alert" : undefined}>
        {hint || (unanswered && NO_REPLY)}
      </p>
    </form>
  );
}

/** Why nothing can be sent now, for the reader; "" when it can. */
function hintOf({ view, ready, surplus, text, answering, sending }) {
  if (view === "not_found") return "There is no chat here to write in: start a new one.";
  if (!ready) return "Connecting to the server …";
  if (surplus) return `${surplus.toLocaleString("en")} characters too long: shorten it, or send it in parts.`;
  if (sending) return "Sending …";
  if (text.trim() === "") return "Write a message to send it.";
  return answering ? WAIT : "";
}

function SendIcon() {
  return (
    <svg width="18" height="18" viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="2.2" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      <path d="M12 19V5m-7 7 7-7 7 7" />
    </svg>
  );
}

function newPrompt() {
  return { id: newId(), tried: false };
}

/** 128 random bits as hex; `crypto.randomUUID` is missing on plain-http pages. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
