/**
 * Gets the browser a session, once: the page is loaded anew because the server reads the cookie
 * when the page's connection opens.
 */
import { useEffect } from "react";

import { getBackendURL } from "$/utils/state";
import env from "$/env.json";

const TRIED_AT = "chat.session.tried-at";
/** A need this soon after a reload means that the cookie did not stick … */
const LOOP_MS = 15_000;
/** … unless it is the page's last state before the reload, which the server is about to correct. */
const CORRECTION_MS = 3_000;

/** @param {{onRefused?: (cause: "cookies" | "server") => void}} props */
export function SessionGate({ onRefused }) {
  useEffect(() => {
    const triedAt = Number(sessionStorage.getItem(TRIED_AT) ?? 0);
    if (Date.now() - triedAt < LOOP_MS) {
      const timer = setTimeout(() => onRefused?.("cookies"), CORRECTION_MS);
      return () => clearTimeout(timer);
    }
    sessionStorage.setItem(TRIED_AT, String(Date.now()));
    openSession().then((ok) => {
      if (ok) location.reload();
      else onRefused?.("server");
    });
    return undefined;
  }, []);
  return null;
}

function openSession() {
  const url = new URL("/api/session", getBackendURL(env.PING));
  return fetch(url, { method: "POST", credentials: "include" }).then(
    (response) => response.ok,
    () => false,
  );
}
