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
export function Composer(props) {
  const { view, accepted, refusals } = props;
  const place = useLocation().pathname;
  const ready = view === "chat" || view === "new";
  const wasReady = useRef(false);
  wasReady.current ||= ready;
  useDestination();
  useEffect(settleSent, [accepted, refusals]);
  useEffect(settlePending, [refusals, place]);
  useEffect(() => {
    // Wherever it was written; the empty page's own draft is its form's to move or forget.
    if (place !== "/" || readDraft(place, { accepted: "" }).id !== accepted) forgetDraft(accepted);
  }, [accepted]);
  return (
    <>
      {/* The other page, so that going there does not wait for the network. */}
      <PrefetchPageLinks page={place === "/" ? "/chat/new" : "/"} />
      <PromptForm key={place} {...props} place={place} ready={ready} enabled={wasReady.current} />
    </>
  );
}

/** The form at one place, with what is written there. */
function PromptForm({ place, view, ready, enabled, shown, answering, ended, accepted, refusals, maxChars, onSend, onStop }) {
  const box = useRef(null);
  const [draft, setDraft] = useDraft(place, accepted);
  const { text } = draft;
  const sent = useSent();
  const sending = sent?.id === draft.id;
  const unanswered = useUnanswered() === draft.id;
  const [stopping, stop] = useStop({ answering, settledBy: [refusals, shown], onStop });
  const surplus = maxChars && text.length > maxChars ? [...text].length - maxChars : 0;
  const hint = hintOf({ view, ready, surplus, text, answering, sending: sent !== null });

  /** A different text is a different prompt, even if the first is refused only later. */
  const write = (words) => setDraft({ ...newDraft(), text: words });
  const send = () => {
    if (hint === WAIT) setDraft({ ...draft, waits: true });
    if (hint !== "" || !staysAt(place)) return;
    setDraft({ ...draft, tried: true, waits: false });
    showSent({ id: draft.id, text, place });
    onSend(chatAt(place), text, draft.id);
  };
  useAcceptance({ place, draft, accepted, onAccepted: () => setDraft(newDraft()) });
  useEffect(() => {
    // The props may describe the chat that was left, or nothing yet.
    const current = ready && shown === chatAt(place) && staysAt(place);
    if (answering || !current || !draft.waits) return;
    if (NOT_SENT_AFTER.has(ended)) setDraft({ ...draft, waits: false });
    else send();
  }, [answering, ready, shown, draft.waits]);
  useEffect(() => {
    // On a touch screen, focus would open the keyboard; elsewhere, another element may have it.
    const free = document.activeElement === document.body;
    if (ready && free && matchMedia("(hover: hover)").matches) box.current.focus();
  }, [ready]);
  useEffect(() => {
    const onWrite = ({ detail }) => {
      write(detail);
      box.current.focus();
    };
    window.addEventListener("chat:write", onWrite);
    return () => window.removeEventListener("chat:write", onWrite);
  });
  useLayoutEffect(() => {
    box.current.style.height = "auto";
    box.current.style.height = `${Math.min(box.current.scrollHeight, MAX_HEIGHT_PX)}px`;
  }, [text, sending]);

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
  const onSubmit = (event) => {
    event.preventDefault();
    send();
  };
  const onStopClick = () => {
    stop();
    box.current.focus(); // Stop becomes Send, and would lose the focus
  };
  return (
    <form className="composer" data-testid="composer" onSubmit={onSubmit}>
      <textarea
        ref={box}
        rows={1}
        value={sending ? "" : text}
        disabled={!enabled}
        aria-describedby="composer-hint"
        aria-invalid={surplus > 0}
        readOnly={sending || view === "not_found"}
        placeholder="Ask anything"
        aria-label="Your message"
        enterKeyHint="send"
        data-testid="prompt"
        onChange={(event) => write(event.target.value)}
        onKeyDown={onKeyDown}
      />
      {answering ? <StopButton stopping={stopping} onClick={onStopClick} /> : <SendButton hint={hint} sending={sending} />}
      {answering && draft.waits && (
        <p className="composer-hint waits" role="status" data-testid="waits">
          Will be sent when the answer is done.
          <button type="button" className="text-button" onClick={() => setDraft({ ...draft, waits: false })}>Cancel</button>
        </p>
      )}
      <p id="composer-hint" className={surplus || unanswered ? "composer-hint" : "sr-only"} role={surplus || unanswered ? "alert" : undefined}>
        {hint || (unanswered && NO_REPLY)}
      </p>
    </form>
  );
}

/** What is written at a place, see `draft.js`, and how to change it; a change is kept. */
function useDraft(place, accepted) {
  const [draft, setDraft] = useState(newDraft);
  useLayoutEffect(() => {
    // Not earlier: the server renders this too, and has no drafts.
    setDraft({ ...newDraft(), ...readDraft(place, { accepted }) });
  }, []);
  const change = (next) => {
    setDraft(next);
    keepDraft(place, next);
  };
  return [draft, change];
}

function newDraft() {
  return { text: "", id: newId(), tried: false, waits: false };
}

/** Once the server has the prompt: forgets it here, and goes from the empty page to its chat. */
function useAcceptance({ place, draft, accepted, onAccepted }) {
  const navigate = useNavigate();
  const begun = useRef(""); // id of the prompt that was sent from here
  if (draft.tried) begun.current = draft.id;
  useEffect(() => {
    const known = accepted === draft.id;
    if (known) {
      forgetDraft(accepted);
      onAccepted();
    }
    // A new chat has the id of its first prompt. A reader who went elsewhere is not called back.
    const begins = place === "/" && (known || (begun.current && begun.current === accepted));
    if (!begins || !staysAt(place)) return;
    if (!known) moveDraft(place, `/chat/${accepted}`); // edited meanwhile, as no reply had come
    navigate(`/chat/${accepted}`);
  }, [accepted, draft.id]);
}

/**
 * Whether the answer is being stopped, and how to stop it; Escape does, too.
 *
 * @param {object} options
 * @param {unknown[]} options.settledBy A change of these means that the server has replied.
 */
function useStop({ answering, settledBy, onStop }) {
  const [stopping, setStopping] = useState(false);
  const stop = () => {
    setStopping(true);
    onStop();
  };
  useEffect(() => setStopping(false), [answering, ...settledBy]);
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
  return [stopping, stop];
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

function StopButton({ stopping, onClick }) {
  return (
    <button type="button" className="round-button" data-testid="stop" disabled={stopping} aria-label="Stop generating" title="Stop (Esc)" aria-keyshortcuts="Escape" onClick={onClick}>
      <svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true"><rect width="14" height="14" rx="3" fill="currentColor" /></svg>
    </button>
  );
}

function SendButton({ hint, sending }) {
  return (
    <button type="submit" className="round-button" data-testid="send" disabled={hint !== ""} aria-label="Send" aria-describedby="composer-hint" title={hint || "Send (Enter)"}>
      {sending ? <span className="spinner" /> : <SendIcon />}
    </button>
  );
}

function SendIcon() {
  return (
    <svg width="18" height="18" viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="2.2" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      <path d="M12 19V5m-7 7 7-7 7 7" />
    </svg>
  );
}
