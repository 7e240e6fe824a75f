/**
 * Gets the browser a session, once: the page is loaded anew because the server reads the cookie
 * when the page's connection opens.
 */
import { useEffect } from "react";

import { getBackendURL } from "$/utils/state";
import env from "$/env.json";

const OPENED_AT = "chat.session.opened-at";
/** A need this soon after a reload means that the cookie did not stick … */
const LOOP_MS = 15_000;
/** … unless it is the page's last state before the reload, which the server is about to correct. */
const CORRECTION_MS = 3_000;
/** No tab waits longer for another one's answer. */
const ANSWER_MS = 10_000;

/** Development mode mounts everything twice, and one session is enough. */
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
      // Not before: a visitor who loads the page anew meanwhile has got no cookie yet.
      sessionStorage.setItem(OPENED_AT, String(Date.now()));
      location.reload();
    });
    return undefined;
  }, []);
  return null;
}

/** One tab at a time: the others get the visitor that the first one has become. */
function openSession() {
  const asked = navigator.locks?.request("chat.session", askForSession) ?? askForSession();
  return asked.catch(() => false);
}

function askForSession() {
  const url = new URL("/api/session", getBackendURL(env.PING));
  const signal = AbortSignal.timeout(ANSWER_MS);
  return fetch(url, { method: "POST", credentials: "include", signal }).then(({ ok }) => ok);
}
