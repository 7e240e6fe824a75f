/**
 * An answer: the stored text, or the growing text of a stream that is still open.
 *
 * It is one component instance from the first thought to the stored message, so nothing moves when
 * an answer ends. The server's state decides what the stream's end means for the page.
 */
import { useCallback, useEffect, useLayoutEffect, useRef, useState, useSyncExternalStore } from "react";
import { createPortal } from "react-dom";

import { getBackendURL } from "$/utils/state";
import env from "$/env.json";

import { PendingButton, settlePending } from "$/public/external/chat_app/ui/pending_button/pending_button.jsx";

import { Branches, CopyButton, RegenerateIcon } from "./actions.jsx";
import { attach, retry, snapshotOf, takeReport } from "./attach.js";
import { Markdown } from "./markdown.jsx";
import { Reasoning } from "./reasoning.jsx";

/** Above the composer; see `page.py`. */
const CONNECTION_ID = "connection";
/** A reconnection that succeeds sooner is not mentioned. */
const LATE_MS = 600;
/** How long the page says that a lost connection is back. */
const BACK_MS = 3_000;
const NOTES = {
  stopped: "You stopped this answer.",
  failed: "The answer stopped here because of an error.",
  interrupted: "The answer was interrupted here.",
};

/**
 * @param {object} props
 * @param {string} props.messageId
 * @param {string} props.chatId
 * @param {string} props.streamId The open stream, while `live`.
 * @param {string} props.text Stored text.
 * @param {string} props.reasoning Stored reasoning.
 * @param {number} props.thoughtMs How long the model thought before it answered; 0 if unknown.
 * @param {string} props.status How the stored answer ended; without a note it shows as `done`.
 * @param {boolean} props.live Whether the answer is still being written.
 * @param {string} props.details The model, the time it took, and the length.
 * @param {boolean} props.continuable Whether it ended too early and can be continued.
 * @param {number} props.version Which of its `versionCount` versions it is, between `previousId`
 *   and `nextId`; see `Branches`.
 * @param {(outcome: string, code: string) => void} [props.onSettled] Called once when the stream
 *   closes, and once per refusal by the server: the database knows more.
 * @param {(status: string) => void} [props.onStatus]
 * @param {(messageId: string) => void} [props.onContinue]
 * @param {(messageId: string) => void} [props.onRegenerate]
 * @param {(messageId: string) => void} [props.onShow] Another version is wanted.
 */
export function Answer(props) {
  const { messageId, chatId, streamId, live, onSettled, onStatus } = props;
  const key = live ? streamId || `${chatId}/${messageId}` : null;
  const stream = useStream(key, chatId, streamId);
  const text = live ? stream.text || props.text : props.text;
  const reasoning = live ? stream.reasoning || props.reasoning : props.reasoning;
  const status = live ? stream.status : statusOfStored(props.status);
  const growing = live && !stream.settled;
  const thoughtMs = live ? (stream.thoughtMs ?? props.thoughtMs) : props.thoughtMs;

  useReports(key, stream, onSettled, onStatus);
  // There is another answer, or more of this one, or it is clear that none will come.
  useEffect(settlePending, [messageId, streamId, live, props.text, props.status]);
  const root = useRawText(text);
  return (
    <article
      ref={root}
      className="answer"
      data-testid="answer"
      data-message-id={messageId}
      data-status={status}
      aria-busy={growing}
      aria-label="Answer"
      tabIndex={-1}
    >
      {reasoning && <Reasoning text={reasoning} thinking={growing && !text} thoughtMs={thoughtMs} />}
      {text ? <Markdown text={text} /> : growing && !reasoning && <Thinking />}
      {!growing && <Ending {...props} status={status} />}
      <footer className="message-foot">
        {!growing && <Actions {...props} text={text} />}
      </footer>
      {growing && <Connection status={status} onRetry={() => retry(key)} />}
    </article>
  );
}

function statusOfStored(status) {
  return status in NOTES ? status : "done";
}

function useStream(key, chatId, streamId) {
  const subscribe = useCallback(
    (listener) => {
      if (key === null) return () => {};
      const url = new URL("/api/chat", getBackendURL(env.PING));
      url.searchParams.set("chatId", chatId);
      return attach(key, url.href, streamId, listener);
    },
    [key, chatId, streamId],
  );
  return useSyncExternalStore(
    subscribe,
    () => snapshotOf(key),
    () => snapshotOf(null),
  );
}

function useReports(key, { status, outcome, code, reports }, onSettled, onStatus) {
  const listeners = useRef({});
  listeners.current = { onSettled, onStatus };
  useEffect(() => {
    if (key === null || status === "idle") return;
    listeners.current.onStatus?.(status);
    if (takeReport(key)) listeners.current.onSettled?.(outcome ?? "", code ?? "");
  }, [key, status, outcome, code, reports]);
}

/** Puts the exact text on the element as `rawText`, where it costs no layout. */
function useRawText(text) {
  const root = useRef(null);
  useLayoutEffect(() => {
    root.current.rawText = text;
  }, [text]);
  return root;
}

function Thinking() {
  return (
    <div className="thinking" data-testid="thinking">
      <i /><i /><i />
      <span className="sr-only">Thinking…</span>
    </div>
  );
}

/** Above the composer, in view wherever the reader is; it goes when events arrive again. */
function Connection({ status, onRetry }) {
  const [notice, setNotice] = useState(null);
  useEffect(() => {
    if (status === "disconnected") setNotice("lost");
    if (status === "streaming") setNotice((before) => (before === "lost" ? "back" : null));
    if (status !== "reconnecting") return undefined;
    const timer = setTimeout(() => setNotice((before) => before ?? "late"), LATE_MS);
    return () => clearTimeout(timer);
  }, [status]);
  useEffect(() => {
    if (notice !== "back") return undefined;
    const timer = setTimeout(() => setNotice(null), BACK_MS);
    return () => clearTimeout(timer);
  }, [notice]);
  const place = notice && document.getElementById(CONNECTION_ID);
  if (!place) return null;
  return createPortal(
    notice === "lost" ? <Lost onRetry={onRetry} /> : (
      <div className="banner" role="status">
        <span>{notice === "late" ? "Reconnecting…" : "Reconnected. Nothing was lost."}</span>
      </div>
    ),
    place,
  );
}

function Lost({ onRetry }) {
  return (
    <div className="banner" role="alert" data-testid="disconnected">
      <span>Connection lost. The answer continues on the server.</span>
      <button type="button" className="quiet-button" onClick={onRetry}>Reconnect</button>
    </div>
  );
}

/** Says that the answer ended too early, and offers to continue it. */
function Ending({ messageId, status, continuable, onContinue }) {
  const note = NOTES[status];
  if (!note && !continuable) return null;
  return (
    <p className="answer-end">
      {note ?? "The answer reached the maximum length."}
      {continuable && (
        <PendingButton action={`continue ${messageId}`} className="text-button idle-only" data-testid="continue" onClick={() => onContinue?.(messageId)}>
          Continue
        </PendingButton>
      )}
    </p>
  );
}

/** The model comes first, and is left out where there is no room. */
function Details({ text }) {
  const [model, ...rest] = (text ?? "").split(" · ");
  const separator = rest.length > 0 ? " · " : "";
  return (
    <span className="details" data-testid="details" title={text}>
      <span className="details-model">{model + separator}</span>
      {rest.join(" · ")}
    </span>
  );
}

function Actions({ messageId, text, details, onRegenerate, onShow, ...rest }) {
  return (
    <>
      {text && <CopyButton text={text} label="Copy answer" data-testid="copy-answer" />}
      <PendingButton action={`regenerate ${messageId}`} className="icon-button idle-only" aria-label="Regenerate" title="Regenerate" data-testid="regenerate" onClick={() => onRegenerate?.(messageId)}>
        <RegenerateIcon />
      </PendingButton>
      <Branches {...rest} onShow={onShow} />
      <Details text={details} />
    </>
  );
}
