/** The search field; while there is a query, its results replace the list. */
import { useEffect, useRef, useState } from "react";
import { NavLink, useNavigate } from "react-router";

import { closeDrawer } from "./chat_line.jsx";

const PAUSE_MS = 150;
/** The server searches for no more than this. */
const LONGEST_QUERY = 200;

/**
 * @param {object} props
 * @param {{id: string, title: string, excerpt: string}[]} props.found
 * @param {string} props.foundFor The query that `found` answers.
 * @param {(query: string) => void} props.onSearch
 * @param {(searching: boolean) => void} props.onSearching
 */
export function ChatSearch({ found, foundFor, onSearch, onSearching }) {
  const [query, setQuery] = useState("");
  const field = useRef(null);
  const results = useRef(null);
  const navigate = useNavigate();
  const wanted = query.trim();
  const current = wanted !== "" && wanted === foundFor;

  useEffect(() => {
    onSearching(wanted !== "");
    if (wanted === "") return undefined;
    const timer = setTimeout(() => onSearch(wanted), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [wanted]);

  const onKeyDown = (event) => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === "Escape") onEscape(event, { query, setQuery });
    if (event.key === "Enter" && current && found[0]) {
      navigate(`/chat/${found[0].id}`);
      closeDrawer(event);
    }
    if (event.key !== "ArrowDown") return;
    event.preventDefault();
    results.current?.querySelector("a")?.focus();
  };
  const onResultKey = (event) => {
    const links = [...results.current.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    if (event.key === "Escape") {
      event.preventDefault();
      field.current.focus();
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    (links[at + step] ?? field.current).focus();
  };
  return (
    <>
      <search className="chat-search">
        <svg width="16" height="16" viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="2" strokeLinecap="round" aria-hidden="true">
          <circle cx="11" cy="11" r="7" /><path d="m20 20-4-4" />
        </svg>
        <input ref={field} id="chat-search" type="search" maxLength={LONGEST_QUERY} autoComplete="off" placeholder="Search" aria-label="Search chats" aria-keyshortcuts="Control+K Meta+K" data-testid="chat-search" value={query} onChange={(event) => setQuery(event.target.value)} onKeyDown={onKeyDown} />
      </search>
      <p role="status" className="sr-only">{current ? `${found.length} found` : ""}</p>
      {wanted !== "" && (
        <nav ref={results} aria-label="Search results" className="chat-list" data-testid="found" onKeyDown={onResultKey}>
          {current && found.length === 0 && <p className="chat-list-note">No results for “{wanted}”.</p>}
          <ul>
            {(current ? found : []).map((chat) => (
              <li key={chat.id} className="chat-line">
                <NavLink to={`/chat/${chat.id}`} className="nav-link found" data-testid="found-chat" onClick={closeDrawer}>
                  <span className="chat-title">{chat.title}</span>
                  {chat.excerpt && <Excerpt text={chat.excerpt} query={wanted} />}
                </NavLink>
              </li>
            ))}
          </ul>
        </nav>
      )}
    </>
  );
}

/** The text around a match, with the matches highlighted and Markdown syntax left out. */
function Excerpt({ text, query }) {
  const words = query.split(/\s+/).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const parts = plain(text).split(new RegExp(`(${words.join("|")})`, "i"));
  return (
    <span className="excerpt">
      {parts.map((part, index) => (index % 2 ? <mark key={index}>{part}</mark> : part))}
    </span>
  );
}

function plain(markdown) {
  return markdown
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/`+|\*\*|(^|\s)#+(?=\s)|\|[\s:|-]*/g, " ")
    .replace(/\s+/g, " ");
}

/** Escape first clears the query, then goes back to the composer. */
function onEscape(event, { query, setQuery }) {
  if (query === "" && event.currentTarget.closest(":popover-open")) return; // Escape closes the drawer
  event.preventDefault();
  event.stopPropagation();
  if (query === "") document.querySelector("[data-testid=prompt]")?.focus();
  setQuery("");
}
