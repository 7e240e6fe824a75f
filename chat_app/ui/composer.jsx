/**
 * Where a prompt is written. A sent prompt is shown in the conversation at once. It is forgotten
 * here only when the server has accepted it, and comes back if the server refuses it or does not
 * reply. Sent again, it keeps its id, so it can never become two turns. Unsent text is kept in the
 * browser for each chat. A prompt sent during an answer waits here until the answer has ended.
 */
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { PrefetchPageLinks, useLocation, useNavigate } from "react-router";

import { newId, NO_REPLY_MS, settleSent, showSent, useSent, useUnanswered } from "$/public/external/chat_app/ui/sending/sending.js";
import { settlePending } from "$/public/external/chat_app/ui/pending_button/pending_button.jsx";

import { staysAt, useDestination } from "./destination.js";
import { chatAt, forgetDraft, keepDraft, moveDraft, readDraft } from "./draft.js";

const MAX_HEIGHT_PX = 220;
const WAIT = "The answer is still being written. Press Enter to send this when it is done.";
/** A waiting prompt is not sent after an answer that ended like this. */
const NOT_SENT_AFTER = new Set(["failed", "interrupted"]);
const NO_REPLY = "The server did not respond. Send again; your message will not be duplicated.";

/**
 * @param {object} props
 * @param {string} props.view What the page shows; prompts can be sent in a `chat` and a `new` one.
 * @param {string} props.shown The chat that the next two describe; the reader may have left it.
 * @param {boolean} props.answering Whether an answer is being written: Send becomes Stop.
 * @param {string} props.ended How the newest answer ended; "" while it is being written.
 * @param {string} props.accepted Id of the newest prompt the server has accepted.
 * @param {number} props.refusals How many requests the server has refused on this page.
 * @param {number} props.maxChars The longest prompt that the server accepts; 0 until known.
 * @param {(chatId: string, text: string, messageId: string) => void} props.onSend
 * @param {() => void} props.onStop
 */
export function Composer({ view, shown, answering, ended, accepted, refusals, maxChars, onSend, onStop }) {
  const box = useRef(null);
  const place = useLocation().pathname;
  const navigate = useNavigate();
  useDestination();
  const [text, setText] = useState("");
  const [textAt, setTextAt] = useState(null); // where it was written
  const [prompt, setPrompt] = useState(newPrompt);
  const ready = view === "chat" || view === "new";
  const wasReady = useRef(false);
  wasReady.current ||= ready;
  const begun = useRef(""); // id of the prompt sent from the empty page
  const [stopping, setStopping] = useState(false);
  const [waitsAt, setWaitsAt] = useState(null); // where the text waits for an answer to end
  const waits = answering && waitsAt === place;
  const sent = useSent();
  const sending = sent?.id === prompt.id;
  const unanswered = useUnanswered() === prompt.id;

  useLayoutEffect(() => {
    // Not earlier: the server renders this too, and has no drafts.
    const draft = readDraft(place, { accepted });
    setText(draft.text);
    setTextAt(place);
    setPrompt(draft.id ? { id: draft.id, tried: true } : newPrompt());
  }, [place]);
  useEffect(() => {
    settleSent();
    // Wherever it was written; the empty page's own draft is handled below.
    if (place !== "/" || readDraft(place, { accepted: "" }).id !== accepted) forgetDraft(accepted);
  }, [accepted]);
  useEffect(() => {
    const known = accepted === prompt.id;
    if (known) {
      forgetDraft(accepted);
      setText("");
      setPrompt(newPrompt());
    }
    // A new chat has the id of its first prompt. A reader who went elsewhere is not called back.
    const begins = place === "/" && (known || (begun.current && begun.current === accepted));
    if (!begins || !staysAt(place)) return;
    if (!known) moveDraft(place, `/chat/${accepted}`); // edited meanwhile, as no reply had come
    navigate(`/chat/${accepted}`);
  }, [accepted, prompt.id]);
  useEffect(settleSent, [refusals]);
  useEffect(settlePending, [refusals, place]);
  useEffect(() => setStopping(false), [answering, refusals, shown, place]);
  useEffect(() => {
    // The props may describe the chat that was left, or nothing yet.
    const current = ready && shown === chatAt(place) && textAt === place && staysAt(place);
    if (answering || !current || waitsAt !== place) return;
    setWaitsAt(null);
    if (!NOT_SENT_AFTER.has(ended)) send();
  }, [answering, ready, shown, textAt, place]);
  useEffect(() => {
    // On a touch screen, focus would open the keyboard; elsewhere, another element may have it.
    const free = document.activeElement === document.body;
    if (ready && free && matchMedia("(hover: hover)").matches) box.current.focus();
  }, [ready, place]);
  useLayoutEffect(() => {
    box.current.style.height = "auto";
    box.current.style.height = `${Math.min(box.current.scrollHeight, MAX_HEIGHT_PX)}px`;
  }, [text, sending]);
  useEffect(() => {
    if (!stopping) return undefined;
    const timer = setTimeout(() => setStopping(false), NO_REPLY_MS); // the stop was lost
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
    // A different text is a different prompt, even if the first is refused only later.
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
    box.current.focus(); // Stop becomes Send, and would lose the focus
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
      {/* The other page, so that going there does not wait for the network. */}
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
        <button type="button" className="round-button" data-testid="stop" disabled={stopping} aria-label="Stop generating" title="Stop (Esc)" aria-keyshortcuts="Escape" onClick={stop}>
          <svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true"><rect width="14" height="14" rx="3" fill="currentColor" /></svg>
        </button>
      ) : (
        <button type="submit" className="round-button" data-testid="send" disabled={!sendable} aria-label="Send" aria-describedby="composer-hint" title={hint || "Send (Enter)"}>
          {sending ? <span className="spinner" /> : <SendIcon />}
        </button>
      )}
      {waits && (
        <p className="composer-hint waits" role="status" data-testid="waits">
          Will be sent when the answer is done.
          <button type="button" className="text-button" onClick={() => setWaitsAt(null)}>Cancel</button>
        </p>
      )}
      <p id="composer-hint" className={surplus || unanswered ? "composer-hint" : "sr-only"} role={surplus || unanswered ? "alert" : undefined}>
        {hint || (unanswered && NO_REPLY)}
      </p>
    </form>
  );
}

/** Why nothing can be sent now, in words for the reader; "" if it can. */
function hintOf({ view, ready, surplus, text, answering, sending }) {
  if (view === "not_found") return "This chat does not exist. Start a new one.";
  if (!ready) return "Connecting to the server…";
  if (surplus) return `${surplus.toLocaleString("en")} character${surplus === 1 ? "" : "s"} too long. Shorten it or send it in parts.`;
  if (sending) return "Sending…";
  if (text.trim() === "") return "Write a message to send.";
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
