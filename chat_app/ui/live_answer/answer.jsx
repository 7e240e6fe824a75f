/**
 * An answer: the stored text, or the growing text of a stream that is still open.
 *
 * It is one component instance from the first thought to the stored message, so nothing moves when
 * an answer ends. What the stream's end means for the page is decided by the server's state.
 */
import { useCallback, useEffect, useLayoutEffect, useRef, useState, useSyncExternalStore } from "react";

import { getBackendURL } from "$/utils/state";
import env from "$/env.json";

import { attach, retry, snapshotOf, takeReport } from "./attach.js";
import { Markdown } from "./markdown.jsx";

const NOTES = { stopped: "Stopped", failed: "Failed", interrupted: "Interrupted" };

/**
 * @param {object} props
 * @param {string} props.messageId
 * @param {string} props.chatId
 * @param {string} props.streamId The open stream, while `live`.
 * @param {string} props.text Stored text.
 * @param {string} props.status How the stored answer ended; anything but a mishap shows as `done`.
 * @param {boolean} props.live Whether the answer is still being written.
 * @param {(outcome: string, code: string) => void} [props.onSettled] The stream has closed, or the
 *   server has refused it: the database knows more. Each is told once.
 * @param {(status: string) => void} [props.onStatus]
 */
export function Answer({ messageId, chatId, streamId, text, status, live, onSettled, onStatus }) {
  const key = live ? streamId || `${chatId}/${messageId}` : null;
  const stream = useStream(key, chatId, streamId);
  const shown = live ? stream.text || text : text;
  const state = live ? stream.status : statusOfStored(status);
  const growing = live && !stream.settled;

  useReports(key, stream, onSettled, onStatus);
  const root = useRawText(shown);
  return (
    <article
      ref={root}
      className="answer"
      data-testid="answer"
      data-message-id={messageId}
      data-status={state}
      aria-busy={growing}
      aria-label="Answer"
    >
      {shown ? <Markdown text={shown} /> : growing && <Thinking />}
      <footer className="answer-foot">
        {shown && <CopyButton text={shown} />}
        {growing ? <Connection status={state} onRetry={() => retry(key)} /> : <Note status={state} />}
      </footer>
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

/** Puts the exact text on the element, where it costs no layout: `element.rawText`. */
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

function Connection({ status, onRetry }) {
  if (status === "reconnecting") return <span className="answer-note late">Reconnecting…</span>;
  if (status !== "disconnected") return null;
  return (
    <span className="answer-note" role="alert">
      Connection lost. The answer goes on without this page.
      <button type="button" className="text-button" onClick={onRetry}>Reconnect</button>
    </span>
  );
}

function Note({ status }) {
  const note = NOTES[status];
  return note ? <span className="answer-note">{note}</span> : null;
}

function CopyButton({ text }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), 2_000);
    return () => clearTimeout(timer);
  }, [copied]);
  return (
    <button
      type="button"
      className="icon-button"
      data-testid="copy-answer"
      aria-label="Copy answer"
      title="Copy answer"
      onClick={() => copyText(text).then(setCopied)}
    >
      {copied ? <CheckIcon /> : <CopyIcon />}
      <span className="sr-only" aria-live="polite">{copied ? "Copied" : ""}</span>
    </button>
  );
}

/** Resolves to whether the text is in the clipboard, which plain-http pages may only reach the old way. */
async function copyText(text) {
  if (navigator.clipboard) {
    return navigator.clipboard.writeText(text).then(() => true, () => false);
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "sr-only";
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  return copied;
}

const ICON = {
  width: 16, height: 16, viewBox: "0 0 24 24", fill: "none", stroke: "currentColor",
  strokeWidth: 2, strokeLinecap: "round", strokeLinejoin: "round", "aria-hidden": true,
};

function CopyIcon() {
  return (
    <svg {...ICON}>
      <rect x="9" y="9" width="12" height="12" rx="2" />
      <path d="M5 15a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2h8a2 2 0 0 1 2 2" />
    </svg>
  );
}

function CheckIcon() {
  return <svg {...ICON}><path d="M20 6 9 17l-5-5" /></svg>;
}
