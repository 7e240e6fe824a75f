/**
 * The chats: pinned ones first, the others grouped by day in the reader's time zone. It asks for
 * news while the tab is visible, and reports the open chat as seen once its newest state is shown.
 */
import { useEffect, useRef, useState } from "react";
import { useLocation } from "react-router";

import { ChatLine } from "./chat_line.jsx";
import { ChatMenu } from "./chat_menu.jsx";
import { ChatSearch } from "./chat_search.jsx";
import { Undo } from "./undo.jsx";

const SYNC_MS = 4_000;
/** A round without a reply for this long was lost with its connection. */
const LOST_MS = 30_000;

/**
 * @typedef {{id: string, title: string, updated_at: string, answering: boolean, unread: boolean,
 *   pinned: boolean}} Chat
 * @param {object} props
 * @param {Chat[]} props.pinned
 * @param {Chat[]} props.recent The newest page of the others; `earlier` has the pages after it.
 * @param {Chat[]} props.earlier
 * @param {string} props.shownAt The open chat's `updated_at` as of what is shown.
 * @param {number} props.syncs Grows with each reply to `onSync`.
 */
export function ChatList(props) {
  const { loaded, pinned, recent, earlier, more, shownAt, syncs, onSync, onSeen } = props;
  const open = useLocation().pathname.match(/^\/chat\/([^/]+)/)?.[1] ?? "";
  const [searching, setSearching] = useState(false);
  const [menu, setMenu] = useState(null);
  const [renaming, setRenaming] = useState("");
  const visible = useVisible();
  const here = useDrawer();
  useSync({ visible, syncs, onSync });

  const unread = [pinned, recent, earlier].some((list) =>
    list.some((chat) => chat.id === open && chat.unread && chat.updated_at === shownAt),
  );
  useEffect(() => {
    if (visible && unread) onSeen?.(open);
  }, [visible, unread, open]);

  const line = (chat) => (
    <ChatLine
      key={chat.id}
      {...chat}
      renaming={renaming === chat.id}
      expanded={menu?.chat.id === chat.id}
      onMenu={(button) => setMenu({ chat, button })}
      onNamed={(title) => {
        setRenaming("");
        if (title && title !== chat.title) props.onRename(chat.id, title);
      }}
    />
  );
  return (
    <>
      <ChatSearch {...props} onSearching={setSearching} />
      <nav ref={here} aria-label="Chats" className="chat-list" data-testid="chat-list" hidden={searching} onKeyDown={stepThroughLinks}>
        {!loaded && <Skeleton />}
        {loaded && pinned.length + recent.length === 0 && (
          <p className="chat-list-note">Your chats will appear here.</p>
        )}
        {grouped(pinned, recent.concat(earlier)).map(([name, chats]) => (
          <section key={name} aria-label={name}>
            <h2 className="chat-group">{name}</h2>
            <ul>{chats.map(line)}</ul>
          </section>
        ))}
        {more && <More count={earlier.length} onMore={props.onMore} />}
      </nav>
      <ChatMenu
        menu={menu}
        onClose={() => setMenu(null)}
        onRename={setRenaming}
        onPin={props.onPin}
        onDiscard={props.onDiscard}
      />
      <Undo id={props.discardedId} title={props.discardedTitle} open={open} onRestore={props.onRestore} onExpire={props.onExpire} />
    </>
  );
}

/** The pinned chats, then the others by how many midnights ago something last happened in them. */
function grouped(pinned, others) {
  const groups = new Map([["Pinned", pinned]]);
  const midnight = new Date().setHours(0, 0, 0, 0);
  const daysAgo = (days) => new Date(midnight).setDate(new Date(midnight).getDate() - days);
  const [yesterday, week] = [daysAgo(1), daysAgo(7)];
  for (const chat of others) {
    const time = Date.parse(chat.updated_at);
    const name =
      time >= midnight ? "Today" : time >= yesterday ? "Yesterday" : time >= week ? "Previous 7 days" : "Older";
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(chat);
  }
  return [...groups].filter(([, chats]) => chats.length > 0);
}

function useVisible() {
  const [visible, setVisible] = useState(true); // the page is rendered once without a document
  useEffect(() => {
    const update = () => setVisible(document.visibilityState === "visible");
    update();
    document.addEventListener("visibilitychange", update);
    return () => document.removeEventListener("visibilitychange", update);
  }, []);
  return visible;
}

/**
 * While the list is an open drawer, nothing behind it can be reached: the focus stays in it. The
 * browser closes it on Escape or a click beside it, and gives the focus back.
 */
function useDrawer() {
  const inside = useRef(null);
  useEffect(() => {
    const drawer = inside.current.closest("[popover]");
    const wide = matchMedia("(min-width: 48rem)");
    const main = () => document.querySelector("main");
    const onToggle = (event) => {
      if (event.target !== drawer) return; // the menu inside it
      main().inert = event.newState === "open"; // before it closes, so that the focus can go back
      if (event.newState === "open") requestAnimationFrame(() => drawer.querySelector("a").focus());
    };
    const close = () => wide.matches && drawer.hidePopover();
    drawer.addEventListener("beforetoggle", onToggle);
    wide.addEventListener("change", close);
    return () => {
      drawer.removeEventListener("beforetoggle", onToggle);
      wide.removeEventListener("change", close);
      if (main()) main().inert = false;
    };
  }, []);
  return inside;
}

/** Asks for news once the tab is visible again, then every few seconds; never twice at once. */
function useSync({ visible, syncs, onSync }) {
  const asked = useRef({ at: 0, syncs: -1 });
  const first = useRef(true);
  useEffect(() => {
    if (!visible) return undefined;
    const ask = () => {
      const waiting = asked.current.syncs === syncs && Date.now() - asked.current.at < LOST_MS;
      if (waiting) return;
      asked.current = { at: Date.now(), syncs };
      onSync?.();
    };
    if (!first.current && asked.current.syncs === -1) ask();
    first.current = false;
    const timer = setInterval(ask, SYNC_MS);
    return () => clearInterval(timer);
  }, [visible, syncs]);
  useEffect(() => {
    if (!visible) asked.current = { at: 0, syncs: -1 };
  }, [visible]);
}

/** Arrow keys move from link to link, as Tab does. */
export function stepThroughLinks(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || event.target.tagName !== "A") return;
  const links = [...event.currentTarget.querySelectorAll("a[data-chat]")];
  const next = links[links.indexOf(event.target) + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
}

/** Loads the next page when it comes into view. */
function More({ count, onMore }) {
  const end = useRef(null);
  useEffect(() => {
    const observer = new IntersectionObserver(([entry]) => entry.isIntersecting && onMore?.(), {
      rootMargin: "400px",
    });
    observer.observe(end.current);
    return () => observer.disconnect();
  }, [count]);
  return <p ref={end} className="chat-list-note">Loading more…</p>;
}

function Skeleton() {
  return (
    <div aria-hidden="true">
      {["w-3/4", "w-1/2", "w-2/3"].map((width) => (
        <div key={width} className={`skeleton mx-3 my-3 h-3.5 ${width}`} />
      ))}
    </div>
  );
}
