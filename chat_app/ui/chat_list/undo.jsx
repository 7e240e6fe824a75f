/** Says that a chat was deleted, and restores it if asked in time. The server removes it later. */
import { useEffect, useRef } from "react";
import { createPortal } from "react-dom";
import { useNavigate } from "react-router";

import { staysAt } from "$/public/external/chat_app/ui/composer/destination.js";
import { forgetDraftsIn } from "$/public/external/chat_app/ui/composer/draft.js";

const OFFER_MS = 10_000;

/** The current offer, kept outside the component because another page rebuilds it. */
const NONE = { id: "", until: 0, wasOpen: false, taken: false };
let offer = NONE;

/**
 * @param {object} props
 * @param {string} props.id The chat that was deleted last; "" if there is nothing to restore.
 * @param {string} props.title
 * @param {string} props.open The chat that is open.
 */
export function Undo({ id, title, open, onRestore, onExpire }) {
  const navigate = useNavigate();
  const box = useRef(null);
  const button = useRef(null);
  useEffect(() => {
    // The chat deleted before this one can no longer be restored.
    if (offer.id !== id && offer.id && !offer.taken) forgetDraftsIn(offer.id);
    if (!id) offer = NONE;
    if (!id || (offer.id === id && offer.taken)) return undefined;
    const left = open === id && staysAt(`/chat/${id}`);
    if (offer.id !== id) offer = { id, until: Date.now() + OFFER_MS, wasOpen: left };
    box.current?.showPopover(); // above the drawer, too
    button.current?.focus(); // the line that had the focus is gone
    if (left) navigate("/", { replace: true }); // so that Back does not lead to it
    const timer = setTimeout(() => {
      forgetDraftsIn(id);
      onExpire(id);
    }, offer.until - Date.now());
    return () => clearTimeout(timer);
  }, [id]);
  if (!id) return null;
  const restore = () => {
    onRestore(id);
    offer = { ...offer, taken: true };
    if (offer.wasOpen) navigate(`/chat/${id}`);
  };
  return createPortal(
    <div ref={box} popover="manual" className="toast" role="status" data-testid="undo">
      <span className="chat-title">“{title}” was deleted.</span>
      <button ref={button} type="button" className="text-button" onClick={restore}>Undo</button>
    </div>,
    document.body,
  );
}
