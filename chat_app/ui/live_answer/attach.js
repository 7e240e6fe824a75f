/**
 * One connection per open answer, however many components show it.
 *
 * React mounts twice in development, and a page change remounts the same answer. A component that
 * asks for an answer that is already followed joins its connection, with the text so far.
 */
import { onReturn } from "$/public/resumable-fetch.js";

import { Pacer } from "./pacer.js";
import { StreamClient } from "./stream_client.js";

/** How long an answer that is no longer shown is still followed: enough for a remount. */
const LINGER_MS = 1_000;
/** An unreachable server is tried again about this often, without being asked to. */
const RETRY_MS = 10_000;

const IDLE = Object.freeze({
  status: "idle",
  text: "",
  reasoning: "",
  thoughtMs: null,
  outcome: null,
  code: null,
  settled: false,
  reports: 0,
});
const followed = new Map();

class FollowedAnswer {
  snapshot = IDLE;
  #key;
  #client;
  #listeners = new Set();
  #pacer = new Pacer(() => this.#flush());
  #lingerTimer = null;
  #retryTimer = null;
  #reported = 0;
  #stopWaking;

  constructor(key, url, streamId) {
    this.#key = key;
    this.#client = new StreamClient({
      streamId,
      open: (after, signal, wait) => fetchEvents(url, { after, streamId, wait }, signal),
      onChange: () => this.#pacer.request(),
    });
    this.#stopWaking = onReturn(() => this.#client.wake());
    this.#client.follow();
  }

  subscribe(listener) {
    clearTimeout(this.#lingerTimer);
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#lingerTimer = setTimeout(() => this.#end(), LINGER_MS);
    };
  }

  retry() {
    this.#client.wake();
  }

  /**
   * True for the first caller after the end or after a refusal: each is reported once. A refusal
   * is not the end, but the database may know of an end that the stream can no longer tell.
   */
  takeReport() {
    const { reports } = this.#client;
    if (reports === this.#reported) return false;
    this.#reported = reports;
    return true;
  }

  #flush() {
    const { status, text, reasoning, thoughtMs, outcome, code, settled, reports } = this.#client;
    this.snapshot = { status, text, reasoning, thoughtMs, outcome, code, settled, reports };
    for (const listener of this.#listeners) listener();
    clearTimeout(this.#retryTimer);
    const unreachable = status === "disconnected" && code === null;
    // Not all clients at the same moment: the server may be about to recover.
    if (unreachable) this.#retryTimer = setTimeout(() => this.retry(), RETRY_MS * (0.5 + Math.random()));
  }

  #end() {
    clearTimeout(this.#retryTimer);
    followed.delete(this.#key);
    this.#stopWaking();
    this.#client.close();
  }
}

function fetchEvents(url, { after, streamId, wait }, signal) {
  const request = new URL(url);
  request.searchParams.set("gzip", "true");
  if (streamId) request.searchParams.set("streamId", streamId);
  if (after > 0) request.searchParams.set("after", after);
  if (wait !== null) request.searchParams.set("wait", wait);
  return fetch(request, { signal, credentials: "include", cache: "no-store" });
}

/**
 * Follows an answer, or joins the connection that already does.
 * @param {string} key Identifies the stream.
 * @param {string} url Where its events are.
 * @param {string} streamId The expected stream, if known.
 * @param {() => void} listener Called when `snapshotOf(key)` has changed.
 * @returns {() => void} Unsubscribes.
 */
export function attach(key, url, streamId, listener) {
  if (!followed.has(key)) followed.set(key, new FollowedAnswer(key, url, streamId));
  return followed.get(key).subscribe(listener);
}

export function snapshotOf(key) {
  return followed.get(key)?.snapshot ?? IDLE;
}

export function retry(key) {
  followed.get(key)?.retry();
}

export function takeReport(key) {
  return followed.get(key)?.takeReport() ?? false;
}
