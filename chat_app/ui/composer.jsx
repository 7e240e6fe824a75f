/**
 * Where a prompt is written. The text stays here until the server says that it has the prompt, and
 * a prompt that is sent again keeps its id: it can never become two turns.
 */
import { useEffect, useLayoutEffect, useRef, useState } from "react";

const MAX_HEIGHT_PX = 220;
/** Without any reply for so long, e.g. because the server restarts, the prompt may be sent again. */
const NO_REPLY_MS = 15_000;

/**
 * @param {object} props
 * @param {boolean} props.ready Whether a prompt can be taken yet.
 * @param {boolean} props.answering Whether an answer is being written: Send becomes Stop.
 * @param {string} props.accepted Id of the newest prompt the server has.
 * @param {number} props.refusals How many prompts the server has refused on this page.
 * @param {(text: string, messageId: string) => void} props.onSend
 * @param {() => void} props.onStop
 */
export function Composer({ ready, answering, accepted, refusals, onSend, onStop }) {
  const box = useRef(null);
  const [text, setText] = useState("");
  const [prompt, setPrompt] = useState(newPrompt);
  const [stopping, setStopping] = useState(false);

  useEffect(() => {
    if (accepted !== prompt.id) return;
    setText("");
    setPrompt(newPrompt());
  }, [accepted]);
  useEffect(() => setPrompt((same) => ({ ...same, sending: false })), [refusals]);
  useEffect(() => {
    if (!prompt.sending) return undefined;
    const timer = setTimeout(() => setPrompt({ ...prompt, sending: false }), NO_REPLY_MS);
    return () => clearTimeout(timer);
  }, [prompt]);
  useEffect(() => {
    if (!answering) setStopping(false);
  }, [answering]);
  useEffect(() => {
    // On a touch screen the focus would bring up the keyboard; elsewhere somebody may have it.
    const free = document.activeElement === document.body;
    if (ready && free && matchMedia("(hover: hover)").matches) box.current.focus();
  }, [ready]);
  useLayoutEffect(() => {
    box.current.style.height = "auto";
    box.current.style.height = `${Math.min(box.current.scrollHeight, MAX_HEIGHT_PX)}px`;
  }, [text]);

  const sendable = ready && text.trim() !== "" && !answering && !prompt.sending;
  const edit = (event) => {
    setText(event.target.value);
    // Another text is another prompt, even if the first one is refused only later.
    if (prompt.tried) setPrompt(newPrompt());
  };
  const send = () => {
    if (!sendable) return;
    setPrompt({ ...prompt, tried: true, sending: true });
    onSend(text, prompt.id);
  };
  const onKeyDown = (event) => {
    // While an input method composes, Enter chooses a character.
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };
  const stop = () => {
    setStopping(true);
    onStop();
  };

  return (
    <form
      className="composer"
      data-testid="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <textarea
        ref={box}
        rows={1}
        value={text}
        disabled={!ready}
        readOnly={prompt.sending}
        placeholder="Ask anything"
        aria-label="Your message"
        enterKeyHint="send"
        data-testid="prompt"
        onChange={edit}
        onKeyDown={onKeyDown}
      />
      {answering ? (
        <button type="button" className="round-button" data-testid="stop" disabled={stopping} aria-label="Stop the answer" title="Stop" onClick={stop}>
          <svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true"><rect width="14" height="14" rx="3" fill="currentColor" /></svg>
        </button>
      ) : (
        <button type="submit" className="round-button" data-testid="send" disabled={!sendable} aria-label="Send" title="Send">
          {prompt.sending ? <span className="spinner" /> : <SendIcon />}
        </button>
      )}
    </form>
  );
}

function SendIcon() {
  return (
    <svg width="18" height="18" viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="2.2" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      <path d="M12 19V5m-7 7 7-7 7 7" />
    </svg>
  );
}

function newPrompt() {
  return { id: newId(), tried: false, sending: false };
}

/** 128 random bits as hex; `crypto.randomUUID` is missing on plain-http pages. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
