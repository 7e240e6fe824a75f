/** One chat in the list: its link, its state and its menu button; or the field that renames it. */
import { memo, useEffect, useRef } from "react";
import { NavLink } from "react-router";

const LONGEST_TITLE = 200;

export const ChatLine = memo(Line, (before, after) =>
  ["title", "answering", "unread", "pinned", "renaming", "expanded"].every(
    (name) => before[name] === after[name],
  ),
);

function Line({ id, title, answering, unread, renaming, expanded, onMenu, onNamed }) {
  const link = useRef(null);
  const wasRenaming = useRef(false);
  useEffect(() => {
    // The field had the focus and took it with it.
    if (wasRenaming.current && !renaming) link.current?.focus();
    wasRenaming.current = renaming;
  }, [renaming]);
  if (renaming) {
    return <li className="chat-line"><NameField title={title} onNamed={onNamed} /></li>;
  }
  return (
    <li className="chat-line">
      <NavLink ref={link} to={`/chat/${id}`} className="nav-link" data-chat={id} data-testid="chat-link" title={title} onClick={closeDrawer}>
        <span className="chat-title">{title}</span>
        {answering && <span className="live-dot" data-testid="answering"><span className="sr-only">, answering</span></span>}
        {unread && <span className="unread-dot" data-testid="unread"><span className="sr-only">, unread</span></span>}
      </NavLink>
      <button
        type="button"
        className="icon-button chat-more"
        aria-haspopup="menu"
        aria-expanded={expanded}
        aria-label={`Options for ${title}`}
        data-testid="chat-options"
        onClick={(event) => onMenu(event.currentTarget)}
      >
        <svg width="18" height="18" viewBox="0 0 24 24" fill="currentColor" aria-hidden="true">
          <circle cx="5" cy="12" r="1.8" /><circle cx="12" cy="12" r="1.8" /><circle cx="19" cy="12" r="1.8" />
        </svg>
      </button>
    </li>
  );
}

/** Enter or leaving the field saves the name, Escape discards it. */
function NameField({ title, onNamed }) {
  const field = useRef(null);
  const done = useRef(false);
  const finish = (name) => {
    if (done.current) return; // removing the field blurs it, too
    done.current = true;
    onNamed(name);
  };
  useEffect(() => {
    field.current.focus();
    field.current.select();
  }, []);
  const onKeyDown = (event) => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === "Enter") finish(event.target.value.trim());
    if (event.key !== "Escape") return;
    event.preventDefault(); // without closing the drawer as well
    event.stopPropagation();
    finish("");
  };
  return (
    <input
      ref={field}
      className="chat-name"
      aria-label="Chat name"
      data-testid="chat-name"
      defaultValue={title}
      maxLength={LONGEST_TITLE}
      onKeyDown={onKeyDown}
      onBlur={(event) => finish(event.target.value.trim())}
    />
  );
}

/** On a narrow screen the list is a drawer, and choosing a chat closes it. */
export function closeDrawer(event) {
  event.currentTarget.closest("[popover]")?.hidePopover();
}
