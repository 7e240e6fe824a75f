/**
 * Shows its children while the server cannot accept prompts or continue answers.
 *
 * It asks only when there is reason to doubt: while an answer is awaited, and after a prompt was
 * refused because of an outage. A server that does not reply at all is another component's concern.
 */
import { useEffect, useState } from "react";

import { getBackendURL } from "$/utils/state";
import env from "$/env.json";

const IN_DOUBT_MS = 4_000;
const AWAY_MS = 1_000;

/**
 * @param {object} props
 * @param {boolean} props.awaiting Whether an answer is being written.
 * @param {boolean} props.refused Whether the newest prompt was refused because of an outage.
 * @param {() => void} props.onOver Called when an outage that had a prompt refused is over.
 * @param {React.ReactNode} props.children
 */
export function Outage({ awaiting, refused, onOver, children }) {
  const [away, setAway] = useState(false);
  useEffect(() => {
    if (!awaiting && !refused && !away) return undefined;
    const leaving = new AbortController();
    let timer;
    const check = async () => {
      const ready = document.hidden ? null : await isReady(leaving.signal);
      if (leaving.signal.aborted) return;
      if (ready && away && refused) onOver?.();
      if (ready !== null) setAway(!ready);
      if (awaiting || away) timer = setTimeout(check, away ? AWAY_MS : IN_DOUBT_MS);
    };
    timer = setTimeout(check, refused && !away ? 0 : AWAY_MS);
    return () => {
      clearTimeout(timer);
      leaving.abort();
    };
  }, [awaiting, refused, away]);
  return away && children;
}

/** Whether the server would accept a prompt now; null if unknown. */
async function isReady(signal) {
  try {
    const url = new URL("/api/ready", getBackendURL(env.PING));
    const { status } = await fetch(url, { signal, cache: "no-store" });
    return status === 204 ? true : status === 503 ? false : null;
  } catch {
    return null;
  }
}
