/**
 * resumable-fetch: a `fetch` whose streams survive cut connections.
 *
 *     import { createResumableFetch } from "/resumable-fetch.js";
 *     const transport = new DefaultChatTransport({ fetch: createResumableFetch() });
 *
 * An answer of this server is a stream of events, each with its offset as `id:`. The caller gets
 * one body, as if the connection had held: after a cut, the rest is requested with `Last-Event-ID`.
 * Nothing else has to change. One module without dependencies, for browsers, Node and Bun.
 *
 * Guarantees
 *   Exactly once   every event is delivered once, whole, in offset order: duplicates are dropped,
 *                  a gap is filled by asking again from the cursor.
 *   Honest end     the body ends when the stream has: after `finish` or `[DONE]`, or if the server
 *                  says that nothing follows (204). A body that just ends counts as a cut. What can
 *                  no longer be had ends in an error, never in a text that looks complete:
 *                  `StreamLost`, whose `code` says why (see there).
 *   Retries        a cut after progress is repaired at once; otherwise there are `maxRetries` tries
 *                  with growing, jittered waits, then the caller gets the error. A page that comes
 *                  back (visible, online, from the back/forward cache) tries at once.
 *   Watchdog       a connection that delivers nothing for `stallMs`, not even a heartbeat, is
 *                  replaced; the default is twice the heartbeat interval that the server announces.
 *                  If its first bytes do not arrive within `firstBytesMs`, a proxy may be holding
 *                  them back: from then on the rest is polled (`?wait=`). The caller's own request
 *                  is then repeated as a poll too, if that cannot ask twice.
 *   One turn       a request that gets no response, or 502, 503 or 504, is sent again only if that
 *                  cannot ask twice: a GET, or a prompt, whose id makes it one turn. Regenerating
 *                  is not repeated.
 *   Discretion     once the caller has aborted or cancelled, nothing more is requested. Requests
 *                  that are no chat's, and responses that are no stream of this server, pass
 *                  untouched.
 *
 * A chat's requests are recognised by their form: a POST of JSON text with an `id`, a GET with
 * `chatId` or of `…/<id>/stream`; its streams by the header `x-stream-id`. From another origin that
 * header has to be exposed, which the server does for ALLOWED_ORIGINS. Comments in a stream are not
 * passed on.
 */

const TRANSIENT_STATUS = new Set([408, 425, 429]);
const CURSOR_REFUSED = new Set([400, 410]);
const POLL_SECONDS = 20;
const SILENCE_MS = 40_000; // for a server that announces no heartbeat, and for polls
const FIRST_BYTES_MS = 10_000;
const FINAL = new Set(["superseded", "expired"]);
const UNAVAILABLE = new Set([502, 503, 504]);

export const systemClock = {
  now: () => performance.now(),
  setTimer: (callback, ms) => setTimeout(callback, ms),
  clearTimer: (timer) => clearTimeout(timer),
};

/**
 * @param {object} [options]
 * @param {typeof fetch} [options.fetch] The underlying `fetch`.
 * @param {(status: "streaming" | "reconnecting", chatId: string) => void} [options.onStatus]
 * @param {number} [options.maxRetries] Tries in a row without progress before the error is thrown.
 * @param {number} [options.firstDelayMs] Upper bound of the first wait; doubles with each try.
 * @param {number} [options.maxDelayMs] Upper bound of a wait, unless `Retry-After` asks for more.
 * @param {number} [options.stallMs] Silence after which a connection counts as dead; by default
 *   twice the server's heartbeat interval.
 * @param {number} [options.firstBytesMs] The same for the first bytes of a body.
 * @returns {typeof fetch}
 */
export function createResumableFetch({
  fetch = (input, init) => globalThis.fetch(input, init),
  onStatus = () => {},
  ...timing
} = {}) {
  return async function resumableFetch(input, init = {}) {
    const asked = chatRequest(input, init);
    if (asked === null) return fetch(input, init);
    const signal = init.signal ?? input.signal;
    const send = (wait, ours) => fetch(...firstRequest(input, init, wait, ours));
    const { response, polls } = await firstResponse(send, asked, signal, timing);
    if (!isStream(response)) return response;
    const streamId = response.headers.get("x-stream-id");
    const resumeUrl = withParameter(asked.resumeUrl, "streamId", streamId);
    const follower = new Follower({
      ...timing,
      polls,
      cursor: asked.cursor,
      onStatus: (status) => onStatus(status, asked.chatId),
      open: (cursor, ours, wait) =>
        fetch(withParameter(resumeUrl, "wait", wait), resumeInit(input, init, cursor, ours)),
    });
    const { status, statusText, headers } = response;
    const kept = new Headers(headers);
    kept.delete("content-length");
    kept.delete("content-encoding");
    return new Response(bodyOf(follower, response, signal), { status, statusText, headers: kept });
  };
}

/**
 * Why a stream cannot be followed any further. `code` is
 * `superseded`    the chat has a newer stream by now: another prompt or reply was requested;
 * `expired`       the answer has ended and its events are gone: its message is in the database;
 * `http_<status>` the server refused, for good or in `maxRetries` tries;
 * `unreachable`   no response in `maxRetries` tries; `cause` is the last error.
 */
export class StreamLost extends Error {
  constructor(code, { cause, status = 0, retryAfterMs = 0 } = {}) {
    super(`the answer cannot be followed any further: ${code}`, { cause });
    this.name = "StreamLost";
    this.code = code;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }

  /** Whether trying again cannot help. */
  get isFinal() {
    return this.status >= 400 && this.status < 500 && !TRANSIENT_STATUS.has(this.status);
  }
}

/** Follows one stream through as many connections as it takes. */
export class Follower {
  /** Offset of the last event delivered. */
  cursor;

  #open;
  #onStatus;
  #streamId;
  #persistent;
  #stallMs;
  #firstBytesMs;
  #clock;
  #backoff;
  #connection = null;
  #polls;
  #status = null;
  #finished = false;

  /** Whether `close()` was called. */
  closed = false;

  /**
   * In addition to the timing options of `createResumableFetch`:
   * @param {object} options
   * @param {(cursor: number, signal: AbortSignal, wait: number | null) => Promise<Response>} options.open
   *   Asks for the events after an offset; with `wait`, for a whole body within so many seconds.
   * @param {number} [options.cursor] The offset after which to begin.
   * @param {string} [options.streamId] The expected stream; by default that of the first response.
   * @param {boolean} [options.polls] Polls from the first request on.
   * @param {boolean} [options.persistent] Gives up only if superseded. When the tries are used up,
   *   or the server refuses, the status is `disconnected` until `wake()`; if the server no longer
   *   accepts the cursor, the events start over from the first one.
   * @param {(status: string, reason: StreamLost | null) => void} [options.onStatus]
   *   `streaming`, `reconnecting` or `disconnected`; the reason comes with the last.
   */
  constructor({
    open,
    cursor = 0,
    streamId = "",
    polls = false,
    persistent = false,
    onStatus = () => {},
    stallMs = null,
    firstBytesMs = FIRST_BYTES_MS,
    clock = systemClock,
    ...timing
  }) {
    this.#open = open;
    this.cursor = cursor;
    this.#streamId = streamId;
    this.#polls = polls;
    this.#persistent = persistent;
    this.#onStatus = onStatus;
    this.#stallMs = stallMs;
    this.#firstBytesMs = firstBytesMs;
    this.#clock = clock;
    this.#backoff = new Backoff({ clock, ...timing });
  }

  /**
   * The events, those that arrive together in one array, until the stream ends or `close()`.
   * @param {Response} [response] A connection that is already open.
   * @returns {AsyncGenerator<{offset: number | null, data: string, event: object}[], void>}
   * @throws {StreamLost}
   */
  async *batches(response = null) {
    this.#setStatus("streaming");
    for (let resumed = false; !this.closed; resumed = true, response = null) {
      const [before, begun] = [this.cursor, this.#clock.now()];
      const polled = this.#polls;
      let reason = null;
      try {
        if (yield* this.#readOnce(response, resumed)) return;
      } catch (error) {
        if (error instanceof StreamLost && FINAL.has(error.code)) throw error;
        reason = error;
      }
      if (this.#finished || this.closed) return;
      const progress = this.cursor > before;
      const waited = this.#clock.now() - begun >= (POLL_SECONDS * 1000) / 2;
      if (polled && reason === null && (progress || waited)) this.#backoff.reset();
      else await this.#pause(progress, reason);
    }
  }

  /**
   * Connects now instead of later, and replaces a connection that has been silent for a while: it
   * may have died while the page slept.
   */
  wake() {
    this.#backoff.wake();
    this.#connection?.dropIfSilent();
  }

  /** Stops following. The answer itself goes on elsewhere. */
  close() {
    this.closed = true;
    this.#connection?.drop();
    this.#backoff.wake();
  }

  /** One connection, from request to its end; returns whether the stream has ended. */
  async *#readOnce(response, resumed) {
    const connection = new Connection(this.#clock, this.#polls ? SILENCE_MS : this.#firstBytesMs);
    this.#connection = connection;
    const wait = this.#polls ? POLL_SECONDS : null;
    try {
      const opened = response ?? (await this.#open(this.cursor, connection.signal, wait));
      this.#check(opened);
      if (opened.status === 204 || !opened.body) return true;
      if (this.#polls) this.#setStatus("streaming");
      connection.stallMs = this.#stallMs ?? stallOf(opened);
      return yield* this.#readBody(opened.body.getReader(), connection, resumed);
    } finally {
      this.#polls ||= connection.stalled && !connection.receivedAny;
      connection.drop();
    }
  }

  async *#readBody(reader, connection, resumed) {
    connection.onDrop(() => reader.cancel().catch(() => {}));
    const replay = new OffsetCheck(this.cursor);
    const parser = new EventReader();
    for (;;) {
      const { done, value } = await connection.read(reader);
      if (done || this.closed) return false;
      this.#setStatus("streaming");
      const { batch, ended, error } = this.#takeAll(parser.push(value), replay, resumed);
      if (batch.length > 0) yield batch;
      if (error) throw error;
      if (ended) return true;
    }
  }

  /** The new events, up to the first that is malformed or follows a gap. */
  #takeAll(events, replay, resumed) {
    const batch = [];
    try {
      for (const { id, data } of events) {
        if (data === "[DONE]") return { batch, ended: true };
        const taken = this.#take(id, data, replay);
        if (taken?.event.type === "data-appendMessage" && resumed && !this.#persistent) {
          throw new StreamLost("expired");
        }
        if (taken) batch.push(taken);
      }
    } catch (error) {
      return { batch, error };
    }
    return { batch };
  }

  /** The event, or null if it is not new. Throws on a gap, and on what is no event at all. */
  #take(id, data, replay) {
    const offset = id === null ? null : Number(id);
    if (offset !== null && offset <= this.cursor) return null;
    const event = JSON.parse(data);
    if (offset !== null) {
      replay.check(offset, event);
      this.cursor = offset;
    }
    if (event.type === "finish") this.#finished = true;
    return { offset, data, event };
  }

  /** The server follows the chat's newest stream, which by now may be another answer's. */
  #check(response) {
    const streamId = response.headers.get("x-stream-id");
    if (streamId && this.#streamId && streamId !== this.#streamId) throw new StreamLost("superseded");
    this.#streamId ||= streamId ?? "";
    if (response.ok) return;
    const { status } = response;
    throw new StreamLost(`http_${status}`, { status, retryAfterMs: retryAfterMs(response) });
  }

  async #pause(progress, reason) {
    const refusal = reason instanceof StreamLost ? reason : null;
    if (refusal && this.#persistent && CURSOR_REFUSED.has(refusal.status)) this.cursor = 0;
    else if (refusal?.isFinal) return this.#giveUp(refusal);
    if (progress) this.#backoff.reset();
    else if (!this.#backoff.countFailure()) {
      return this.#giveUp(refusal ?? new StreamLost("unreachable", { cause: reason }));
    }
    this.#setStatus("reconnecting");
    if (!progress) await this.#backoff.wait(refusal?.retryAfterMs);
  }

  async #giveUp(reason) {
    if (!this.#persistent) throw reason;
    this.#setStatus("disconnected", reason);
    await this.#backoff.waitForWake();
    this.#backoff.reset();
    if (!this.closed) this.#setStatus("reconnecting");
  }

  #setStatus(status, reason = null) {
    if (status === this.#status) return;
    this.#status = status;
    this.#onStatus(status, reason);
  }
}

/** How often to try again, and how long to wait before each try. */
class Backoff {
  #tries = 0;
  #limits;
  #clock;
  #random;
  #wakeSleeper = null;

  constructor({
    maxRetries = 3,
    firstDelayMs = 500,
    maxDelayMs = 8_000,
    clock = systemClock,
    random = Math.random,
  }) {
    this.#limits = { maxRetries, firstDelayMs, maxDelayMs };
    this.#clock = clock;
    this.#random = random;
  }

  /** Counts a failure; false if no tries are left. */
  countFailure() {
    this.#tries += 1;
    return this.#tries <= this.#limits.maxRetries;
  }

  reset() {
    this.#tries = 0;
  }

  /** Full jitter: many clients that are cut at once must not come back at once. */
  wait(atLeastMs = 0) {
    const { firstDelayMs, maxDelayMs } = this.#limits;
    const bound = Math.min(maxDelayMs, firstDelayMs * 2 ** (this.#tries - 1));
    return this.#sleep(Math.max(atLeastMs, this.#random() * bound));
  }

  /** Waits until `wake()`. */
  waitForWake() {
    return this.#sleep(null);
  }

  wake() {
    this.#wakeSleeper?.();
  }

  async #sleep(ms) {
    let timer;
    await new Promise((resolve) => {
      this.#wakeSleeper = resolve;
      if (ms !== null) timer = this.#clock.setTimer(resolve, ms);
    });
    this.#clock.clearTimer(timer);
    this.#wakeSleeper = null;
  }
}

/** One request's lifetime: a way to drop it, and a watchdog that drops it when it falls silent. */
class Connection {
  /** Whether any bytes have arrived. */
  receivedAny = false;
  /** Whether the watchdog has dropped it. */
  stalled = false;
  /** Silence after which it counts as dead, once it has delivered something. */
  stallMs = SILENCE_MS;

  #abort = new AbortController();
  #clock;
  #timer;
  #silentSince;
  #limitMs;

  constructor(clock, firstBytesMs) {
    this.#clock = clock;
    this.#limitMs = firstBytesMs;
    this.#watch();
  }

  get signal() {
    return this.#abort.signal;
  }

  /** Waits for the next bytes; silence counts only while something waits for them. */
  async read(reader) {
    this.#watch();
    const next = await reader.read();
    this.#clock.clearTimer(this.#timer);
    this.#silentSince = this.#clock.now();
    this.#limitMs = this.stallMs;
    this.receivedAny ||= next.value?.length > 0;
    return next;
  }

  onDrop(callback) {
    this.signal.addEventListener("abort", callback, { once: true });
  }

  /** Drops it if a heartbeat is overdue already: the page may have slept for a while. */
  dropIfSilent() {
    if (this.#clock.now() - this.#silentSince >= this.stallMs / 2) this.drop();
  }

  drop() {
    this.#clock.clearTimer(this.#timer);
    this.#abort.abort();
  }

  #watch() {
    this.#clock.clearTimer(this.#timer);
    this.#silentSince = this.#clock.now();
    this.#timer = this.#clock.setTimer(() => {
      this.stalled = true;
      this.drop();
    }, this.#limitMs);
  }
}

/** Twice the heartbeat interval that the server announces. */
function stallOf(response) {
  const seconds = Number(response.headers.get("x-heartbeat"));
  return seconds > 0 ? 2_000 * seconds : SILENCE_MS;
}

/**
 * Proves that one response has no gap.
 *
 * Offsets are dense, with one exception: a replay from the beginning may be compacted, each part
 * arriving as a single delta under the last offset it holds. So jumps are fine until a part's
 * second delta shows that the events are live.
 */
class OffsetCheck {
  #last;
  #mayJump;
  #parts = new Set();

  constructor(cursor) {
    this.#last = cursor;
    this.#mayJump = cursor === 0;
  }

  check(offset, event) {
    if (this.#mayJump && event.type.endsWith("-delta")) {
      this.#mayJump = !this.#parts.has(event.id);
      this.#parts.add(event.id);
    }
    if (offset !== this.#last + 1 && !this.#mayJump) {
      throw new Error(`gap between offsets ${this.#last} and ${offset}`);
    }
    this.#last = offset;
  }
}

/**
 * Incremental reader of a `text/event-stream` body (WHATWG HTML, "Server-sent events").
 *
 * Bytes may be split anywhere: inside a line, between CR and LF, inside a UTF-8 character.
 * As the standard demands, an event without its closing blank line is dropped: a cut connection
 * cannot deliver half an event.
 */
export class EventReader {
  #decoder = new TextDecoder();
  #rest = "";
  #data = [];
  #id = null;

  /**
   * Takes the next bytes and returns the events they complete.
   * @param {Uint8Array} bytes
   * @returns {{id: string | null, data: string}[]} `id` is null for an event without one.
   */
  push(bytes) {
    const text = this.#rest + this.#decoder.decode(bytes, { stream: true });
    const lines = text.split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    const events = [];
    for (const line of lines) {
      const event = this.#takeLine(line);
      if (event) events.push(event);
    }
    return events;
  }

  #takeLine(line) {
    if (line === "") return this.#endEvent();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    if (field === "id") this.#id = value;
    return null;
  }

  #endEvent() {
    const event = this.#data.length ? { id: this.#id, data: this.#data.join("\n") } : null;
    this.#data = [];
    this.#id = null;
    return event;
  }
}

/**
 * Calls back when the page returns: visible, online, or from the back/forward cache.
 * @returns {() => void} Stops that. Without a page there is nothing to do.
 */
export function onReturn(callback) {
  const page = globalThis.document;
  if (!page) return () => {};
  const back = () => {
    if (page.visibilityState === "visible") callback();
  };
  const places = [[globalThis, "online"], [globalThis, "pageshow"], [page, "visibilitychange"]];
  for (const [place, name] of places) place.addEventListener(name, back);
  return () => {
    for (const [place, name] of places) place.removeEventListener(name, back);
  };
}

/** A request's chat, and where its stream can be resumed; null if it is no chat's request. */
function chatRequest(input, init) {
  const url = parsedUrl(input.url ?? input);
  const method = (init.method ?? input.method ?? "GET").toUpperCase();
  if (!url || !["GET", "POST"].includes(method)) return null;
  const sent = method === "POST" ? parsedJson(init.body) : null;
  const stream = method === "GET" ? /^(.*)\/([^/]+)\/stream$/.exec(url.pathname) : null;
  const named = stream ? decoded(stream[2]) : url.searchParams.get("chatId");
  const chatId = method === "POST" ? sent?.id : named;
  if (typeof chatId !== "string") return null;
  const headers = new Headers(init.headers ?? input.headers);
  const cursor = Number(headers.get("last-event-id") ?? url.searchParams.get("after") ?? 0);
  if (stream) url.pathname = stream[1];
  url.searchParams.set("chatId", chatId);
  url.searchParams.delete("after");
  // Any server may have a URL that ends in `/stream`: only the response says if it is a chat's.
  const ours = !stream || stream[1].endsWith("/api/chat");
  const repeatable = method === "GET" ? ours : isPrompt(sent);
  return { chatId, cursor, resumeUrl: url.href, repeatable };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return null; // no chat of ours
  }
}

function parsedUrl(text) {
  try {
    return new URL(text, globalThis.location?.href);
  } catch {
    return null; // `fetch` will say so
  }
}

function parsedJson(text) {
  try {
    return typeof text === "string" ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

/** Whether sending it twice is one turn: its id makes it the same prompt. */
function isPrompt({ message, messages, trigger = "submit-message" }) {
  const last = message ?? messages?.at?.(-1);
  return trigger === "submit-message" && last?.role === "user" && typeof last.id === "string";
}

/** The response to the caller's own request, which is repeated where that is safe. */
async function firstResponse(send, { repeatable }, signal, timing) {
  const { firstBytesMs = FIRST_BYTES_MS, clock = systemClock } = timing;
  const backoff = new Backoff(timing);
  const wake = () => backoff.wake();
  let polls = false;
  signal?.addEventListener("abort", wake);
  const leave = onReturn(wake);
  try {
    for (;;) {
      const held = new AbortController();
      const timer = repeatable && !polls ? clock.setTimer(() => held.abort(), firstBytesMs) : null;
      const answered = send(polls ? POLL_SECONDS : null, repeatable ? held.signal : null);
      const [response, error] = await answered.then((got) => [got], (failed) => [null, failed]);
      clock.clearTimer(timer);
      if (response && !UNAVAILABLE.has(response.status)) return { response, polls };
      const again = repeatable && !signal?.aborted && backoff.countFailure();
      if (!again && response) return { response, polls };
      if (!again) throw error;
      await response?.body?.cancel();
      polls ||= held.signal.aborted;
      if (!held.signal.aborted) await backoff.wait(response ? retryAfterMs(response) : 0);
      signal?.throwIfAborted();
    }
  } finally {
    leave();
    signal?.removeEventListener("abort", wake);
  }
}

/** The caller's own request, which we can abort; a poll if `wait` is given. */
function firstRequest(input, init, wait, ours) {
  const theirs = init.signal ?? input.signal;
  const signal = ours && theirs ? AbortSignal.any([ours, theirs]) : (ours ?? theirs);
  const asked = signal ? { ...init, signal } : init;
  if (wait === null) return [input, asked];
  const url = withParameter(input.url ?? input, "wait", wait);
  return [input.url ? new Request(url, input) : url, asked];
}

function isStream({ ok, body, headers }) {
  const kind = headers.get("content-type") ?? "";
  return ok && body !== null && kind.startsWith("text/event-stream") && headers.has("x-stream-id");
}

function retryAfterMs(response) {
  return (Number(response.headers.get("retry-after")) || 0) * 1000;
}

function withParameter(url, name, value) {
  if (value === null) return url;
  const changed = new URL(url, globalThis.location?.href);
  changed.searchParams.set(name, value);
  return changed.href;
}

/** The caller's own request, turned into one that resumes: the same credentials, no body. */
function resumeInit(input, init, cursor, signal) {
  const headers = new Headers(init.headers ?? input.headers);
  headers.delete("content-type");
  headers.set("last-event-id", cursor);
  const { body: _body, ...rest } = init;
  const credentials = init.credentials ?? input.credentials;
  return { ...rest, ...(credentials && { credentials }), method: "GET", headers, signal, cache: "no-store" };
}

/** One body of all that a follower delivers. It reads no faster than the caller does. */
function bodyOf(follower, response, signal) {
  const encoder = new TextEncoder();
  const batches = follower.batches(response);
  const close = () => follower.close();
  const stopWaking = onReturn(() => follower.wake());
  const end = () => {
    stopWaking();
    signal?.removeEventListener("abort", close);
  };
  signal?.addEventListener("abort", close);
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const { done, value } = await batches.next();
          signal?.throwIfAborted();
          controller.enqueue(encoder.encode(done ? "data: [DONE]\n\n" : value.map(frame).join("")));
          if (!done) return;
          end();
          controller.close();
        } catch (error) {
          end();
          controller.error(error);
        }
      },
      cancel() {
        end();
        close();
      },
    },
    { highWaterMark: 0 },
  );
}

function frame({ offset, data }) {
  const lines = `data: ${data.replaceAll("\n", "\ndata: ")}\n\n`;
  return offset === null ? lines : `id: ${offset}\n${lines}`;
}
