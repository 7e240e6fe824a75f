/** The actions on a chat. One menu serves all lines: it opens beside the pressed button. */
import { useLayoutEffect, useRef } from "react";

import { getBackendURL } from "$/utils/state";
import env from "$/env.json";

const GAP_PX = 4;

export function ChatMenu({ menu, onClose, onRename, onPin, onDiscard }) {
  const box = useRef(null);
  useLayoutEffect(() => {
    if (!menu) return;
    box.current.showPopover();
    place(box.current, menu.button.getBoundingClientRect());
    items(box.current)[0].focus();
  }, [menu]);
  const onToggle = (event) => {
    if (event.newState !== "closed") return;
    // The focus stays where the reader has put it, but must not be lost.
    if (document.activeElement === document.body) menu?.button.focus();
    onClose();
  };
  const choose = (act) => () => {
    const { chat, button } = menu;
    box.current.hidePopover();
    button.focus();
    act(chat);
  };
  const onKeyDown = (event) => {
    const all = items(box.current);
    const at = all.indexOf(document.activeElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1 + all.length, Home: 0, End: all.length - 1 }[event.key];
    if (event.key === "Tab") box.current.hidePopover();
    if (next === undefined) return;
    event.preventDefault();
    all[next % all.length].focus();
  };
  const chat = menu?.chat;
  return (
    <div ref={box} popover="auto" role="menu" aria-label={chat ? `Options for ${chat.title}` : "Options"} className="menu" data-testid="chat-menu" onToggle={onToggle} onKeyDown={onKeyDown}>
      <Item onClick={choose((chat) => onRename(chat.id))}>Rename</Item>
      <Item onClick={choose((chat) => onPin(chat.id, !chat.pinned))}>{chat?.pinned ? "Unpin" : "Pin"}</Item>
      <Download chat={chat} format="markdown" onClick={() => box.current.hidePopover()}>Download as Markdown</Download>
      <Download chat={chat} format="json" onClick={() => box.current.hidePopover()}>Download as JSON</Download>
      <Item onClick={choose((chat) => onDiscard(chat.id))} danger>Delete</Item>
    </div>
  );
}

function Item({ children, danger, onClick }) {
  return (
    <button type="button" role="menuitem" tabIndex={-1} className={danger ? "menu-item danger" : "menu-item"} onClick={onClick}>
      {children}
    </button>
  );
}

function Download({ chat, format, children, onClick }) {
  const path = `/api/chats/${chat?.id}/export?format=${format}`;
  return (
    <a role="menuitem" tabIndex={-1} className="menu-item" href={chat && new URL(path, getBackendURL(env.PING))} download onClick={onClick}>
      {children}
    </a>
  );
}

function items(box) {
  return [...box.querySelectorAll("[role=menuitem]")];
}

/** Below the button, or above it if there is no room; never beyond the edge of the window. */
function place(box, button) {
  const below = button.bottom + GAP_PX;
  const fits = below + box.offsetHeight <= innerHeight;
  box.style.top = `${Math.max(GAP_PX, fits ? below : button.top - GAP_PX - box.offsetHeight)}px`;
  box.style.left = `${Math.max(GAP_PX, Math.min(button.left, innerWidth - box.offsetWidth - GAP_PX))}px`;
}
