/**
 * A prompt: what was asked, and the editor to ask it in other words.
 *
 * An edited prompt keeps its id however often it is sent, so it can never become two turns.
 */
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { useLocation } from "react-router";

import { forgetDraft, keepDraft, readDraft } from "$/public/external/chat_app/ui/composer/draft.js";
import { Sending } from "$/public/external/chat_app/ui/sending/sent_prompt.jsx";
import { newId, showSent, useSent } from "$/public/external/chat_app/ui/sending/sending.js";

import { Branches, CopyButton, EditIcon, IconButton } from "./actions.jsx";

/** The event on `window` that asks for the newest prompt to be edited. */
const EDIT_LAST = "chat:edit-last";

/**
 * @param {object} props
 * @param {string} props.messageId
 * @param {string} props.chatId
 * @param {string} props.text
 * @param {number} props.version Which of its `versionCount` versions it is, between `previousId`
 *   and `nextId`; see `Branches`.
 * @param {(editedId: string, text: string, messageId: string) => void} [props.onEdit]
 * @param {(messageId: string) => void} [props.onShow] Another version is wanted.
 */
export function Prompt({ messageId, chatId, text, onEdit, onShow, ...branches }) {
  const root = useRef(null);
  const cameFrom = useRef(null);
  const place = useLocation().pathname;
  const editedAt = `/chat/${chatId}/${messageId}`; // where its draft is kept
  const [draft] = useState(() => readDraft(editedAt, { accepted: "" }));
  const [editing, setEditing] = useState(draft.text !== "");
  const sent = useSent();
  const resent = sent?.editedId === messageId ? sent : null;

  useEffect(() => forgetDraft(messageId), [messageId]); // a prompt that became a message is no draft
  const edit = () => {
    cameFrom.current = document.activeElement;
    setEditing(true);
  };
  const cancel = () => {
    setEditing(false);
    keepDraft(editedAt, { text: "" });
    // Once the buttons are back: the focus may have been on one of them.
    requestAnimationFrame(() => (cameFrom.current?.isConnected ? cameFrom.current : root.current?.querySelector("[data-testid=edit]"))?.focus());
  };
  useEffect(() => {
    const onEditLast = () => isLast(root.current) && isIdle(root.current) && edit();
    window.addEventListener(EDIT_LAST, onEditLast);
    return () => window.removeEventListener(EDIT_LAST, onEditLast);
  }, []);

  const send = (edited, id) => {
    showSent({ id, text: edited, place, editedId: messageId });
    onEdit?.(messageId, edited, id);
  };

  if (editing) {
    return (
      <div ref={root} className={resent ? "prompt resent" : "prompt"}>
        {resent && <div className="bubble" data-testid="sent-prompt">{resent.text}</div>}
        {resent && <div className="message-foot prompt-foot"><Sending /></div>}
        {/* Stays, out of sight, in case the server refuses. */}
        <div className="prompt-edited" hidden={resent !== null}>
          <Editor text={text} draft={cameFrom.current ? null : draft} place={editedAt} onCancel={cancel} onSend={send} />
        </div>
      </div>
    );
  }
  return (
    <div ref={root} className="prompt">
      <div className="bubble" data-testid="prompt-message" data-message-id={messageId}>{text}</div>
      <div className="message-foot prompt-foot">
        <Branches {...branches} onShow={onShow} />
        <IconButton className="idle-only" label="Edit message" data-testid="edit" onClick={edit}>
          <EditIcon />
        </IconButton>
        <CopyButton text={text} label="Copy message" data-testid="copy-prompt" />
      </div>
    </div>
  );
}

/** @param {{draft: {text: string, id?: string} | null}} props Left by a refresh; null for a new edit. */
function Editor({ text: before, draft, place, onSend, onCancel }) {
  const box = useRef(null);
  const id = useRef(draft?.id ?? newId());
  const [text, setText] = useState(draft?.text ?? before);
  const sendable = text.trim() !== "" && text !== before;

  useEffect(() => {
    if (draft) return; // after a refresh, the focus stays where the reader is
    box.current.focus();
    box.current.setSelectionRange(before.length, before.length);
  }, []);
  useLayoutEffect(() => {
    box.current.style.height = "auto";
    box.current.style.height = `${box.current.scrollHeight}px`;
  }, [text]);

  const change = (event) => {
    setText(event.target.value);
    id.current = newId(); // a different text is a different prompt
    keepDraft(place, { text: event.target.value });
  };
  const send = () => {
    if (!sendable) return;
    keepDraft(place, { text, id: id.current, tried: true });
    onSend(text, id.current);
    document.querySelector("[data-testid=prompt]")?.focus();
  };
  const onKeyDown = (event) => {
    if (event.nativeEvent.isComposing) return; // the keys belong to the input method
    if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      onCancel();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      send();
    }
  };
  return (
    <>
      <textarea ref={box} rows={1} value={text} aria-label="Edit message" data-testid="edit-box" onChange={change} onKeyDown={onKeyDown} />
      <div className="edit-buttons">
        <button type="button" className="quiet-button" onClick={onCancel}>Cancel</button>
        <button type="button" className="send-button" disabled={!sendable} data-testid="send-edit" onClick={send}>Send</button>
      </div>
    </>
  );
}

function isLast(prompt) {
  return [...document.querySelectorAll(".prompt")].at(-1) === prompt;
}

function isIdle(prompt) {
  return prompt.closest("[data-answering=true]") === null;
}
