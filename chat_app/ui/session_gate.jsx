/**
 * Gets the browser a session, once, then reloads the page, because the server reads the cookie when
 * the page's connection opens.
 */
import { useEffect } from "react";

import { getBackendURL } from "$/utils/state";
import env from "$/env.json";

const OPENED_AT = "chat.session.opened-at";
/** A missing session this soon after a reload means that the cookie did not stick … */
const LOOP_MS = 15_000;
/** … unless it is state from before the reload, which the server corrects within this time. */
const CORRECTION_MS = 3_000;
/** A request that takes longer is given up, as other tabs may be waiting for it. */
const ANSWER_MS = 10_000;

/** Development mode mounts everything twice, but one session is enough. */
let opening;

/** @param {{onRefused?: (cause: "cookies" | "server") => void}} props */
export function SessionGate({ onRefused }) {
  useEffect(() => {
    const openedAt = Number(sessionStorage.getItem(OPENED_AT) ?? 0);
    if (Date.now() - openedAt < LOOP_MS) {
      const timer = setTimeout(() => onRefused?.("cookies"), CORRECTION_MS);
      return () => clearTimeout(timer);
    }
    opening ??= openSession();
    opening.then((ok) => {
      if (!ok) {
        opening = undefined;
        onRefused?.("server");
        return;
      }
      // Not earlier: a visitor who reloads the page before this has no cookie yet.
      sessionStorage.setItem(OPENED_AT, String(Date.now()));
      location.reload();
    });
    return undefined;
  }, []);
  return null;
}

/** One tab at a time: the others become the same visitor as the first. */
function openSession() {
  const asked = navigator.locks?.request("chat.session", askForSession) ?? askForSession();
  return asked.catch(() => false);
}

function askForSession() {
  const url = new URL("/api/session", getBackendURL(env.PING));
  const signal = AbortSignal.timeout(ANSWER_MS);
  return fetch(url, { method: "POST", credentials: "include", signal }).then(({ ok }) => ok);
}
