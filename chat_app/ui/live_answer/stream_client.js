/**
 * Follows one answer over HTTP until its stream has closed, whatever the network does.
 *
 *     idle → streaming → done | stopped | failed | interrupted
 *            streaming ⇄ reconnecting → disconnected
 *
 * Guarantees
 *   Exactly once   every event counts once, in the order of its offset: duplicates are dropped,
 *                  a gap is filled by asking again from the cursor.
 *   Honest end     only a closing event (or `[DONE]`) ends an answer; a body that just ends is a cut.
 *   Clean text     errors never become part of the text.
 *
 * A cut after progress is mended at once; otherwise three tries with growing, jittered waits, then
 * `disconnected` until `wake()` or `retry()`. Needs neither React nor a page: time, chance and the
 * connection are given to it.
 */
import { browserClock, Connection, OffsetCheck } from "./connection.js";
import { EventReader } from "./sse.js";

const STATUS_OF_OUTCOME = {
  completed: "done",
  stopped: "stopped",
  failed: "failed",
  interrupted: "interrupted",
};
const RETRYABLE = new Set([408, 425, 429]);

export class StreamClient {
  status = "idle";
  text = "";
  reasoning = "";
  /** How the stream closed; null while it is open, or when the server did not say. */
  outcome = null;
  /** Stable identifier of what went wrong, if anything did. */
  code = null;
  /** Whether the stream's end has been seen. */
  settled = false;
  /** Offset of the last event taken. */
  cursor = 0;

  #open;
  #onChange;
  #clock;
  #random;
  #limits;
  #streamId;
  #ended = false;
  #failure = null;
  #aborted = false;
  #connection = null;
  #wakeSleeper = null;

  /**
   * @param {object} options
   * @param {(after: number, signal: AbortSignal) => Promise<Response>} options.open
   *   Asks the server for the events after an offset.
   * @param {(client: StreamClient) => void} [options.onChange] Called after every change.
   * @param {string} [options.streamId] The stream expected; another one is never mixed in.
   * @param {number} [options.stallMs] Silence, heartbeats included, after which a connection counts as dead.
   * @param {number} [options.maxTries] Tries without progress before `disconnected`.
   * @param {number} [options.firstDelayMs] Upper bound of the first wait; doubles with each try.
   */
  constructor({
    open,
    onChange = () => {},
    streamId = "",
    stallMs = 40_000,
    maxTries = 3,
    firstDelayMs = 500,
    maxDelayMs = 8_000,
    clock = browserClock,
    random = Math.random,
  }) {
    this.#open = open;
    this.#onChange = onChange;
    this.#streamId = streamId;
    this.#limits = { stallMs, maxTries, firstDelayMs, maxDelayMs };
    this.#clock = clock;
    this.#random = random;
  }

  /**
   * Follows the stream; returns when it has closed or `close()` was called.
   * @returns {Promise<void>}
   */
  async follow() {
    this.#setStatus("streaming");
    let tries = 0;
    while (!this.#ended) {
      const before = this.cursor;
      const retryAfterMs = await this.#readOnce();
      if (this.#ended) return;
      tries = this.cursor > before ? 0 : tries + 1;
      if (tries > this.#limits.maxTries) {
        this.#setStatus("disconnected");
        await this.#sleep(null);
        tries = 0;
      } else {
        this.#setStatus("reconnecting");
        if (tries > 0) await this.#sleep(Math.max(retryAfterMs, this.#delay(tries)));
      }
    }
  }

  /** Connects now instead of later, e.g. because the reader asked for it. */
  retry() {
    this.#wakeSleeper?.();
  }

  /**
   * The page is back (visible, online, out of the cache): do not wait any longer, and do not
   * trust a connection that has been silent for a while; it may have died while the page slept.
   */
  wake() {
    this.retry();
    this.#connection?.dropIfSilentFor(this.#limits.stallMs / 8);
  }

  /** Ends following without a result. Says nothing about the answer, which goes on elsewhere. */
  close() {
    if (this.#ended) return;
    this.#ended = true;
    this.#connection?.drop();
    this.#wakeSleeper?.();
  }

  /** One connection, from request to its end. Returns how long the server asks to wait, in ms. */
  async #readOnce() {
    const connection = new Connection(this.#clock, this.#limits.stallMs);
    this.#connection = connection;
    try {
      const response = await this.#open(this.cursor, connection.signal);
      if (!this.#isOurs(response)) return 0;
      if (!response.ok) return this.#refused(response);
      if (response.status === 204 || !response.body) return this.#settle(null, null);
      await this.#readBody(response.body.getReader(), connection);
    } catch {
      // Cut, stalled, unreadable: all are mended in the same way, by asking again from the cursor.
    } finally {
      connection.drop();
    }
    return 0;
  }

  async #readBody(reader, connection) {
    connection.onDrop(() => reader.cancel().catch(() => {}));
    const events = new EventReader();
    const replay = new OffsetCheck(this.cursor);
    while (!this.#ended) {
      const { done, value } = await reader.read();
      if (done) return;
      connection.touch();
      this.#setStatus("streaming");
      for (const event of events.push(value)) {
        this.#take(event, replay);
        if (this.#ended) return;
      }
      this.#onChange(this);
    }
  }

  #take({ id, data }, replay) {
    if (data === "[DONE]") {
      this.#settle(this.#aborted ? "stopped" : this.#failure ? "failed" : null, this.#failure);
      return;
    }
    const offset = id === null ? null : Number(id);
    if (offset !== null && offset <= this.cursor) return;
    const event = JSON.parse(data);
    if (offset !== null) {
      replay.check(offset, event);
      this.cursor = offset;
    }
    this.#apply(event);
  }

  #apply(event) {
    if (event.type === "text-delta") this.text += event.delta;
    else if (event.type === "reasoning-delta") this.reasoning += event.delta;
    else if (event.type === "error") this.#failure = event.code ?? "error";
    else if (event.type === "abort") this.#aborted = true;
    else if (event.type === "finish") this.#finish(event.messageMetadata ?? {});
    else if (event.type === "data-appendMessage") this.#takeWhole(event.data);
  }

  #finish({ outcome, code }) {
    const guess = this.#aborted ? "stopped" : this.#failure ? "failed" : "completed";
    this.#settle(outcome ?? guess, code ?? this.#failure);
  }

  /** A stream that has closed may be answered with the stored message instead of its events. */
  #takeWhole(data) {
    const message = typeof data === "string" ? JSON.parse(data) : data;
    const parts = (message.parts ?? []).filter((part) => part.type === "text");
    this.text = parts.map((part) => part.text).join("");
    const status = message.metadata?.status;
    this.#settle(status in STATUS_OF_OUTCOME ? status : "completed", null);
  }

  /**
   * The URL names a chat, not a stream: when somebody has sent the next prompt meanwhile, the
   * events are those of another answer.
   */
  #isOurs(response) {
    const streamId = response.headers.get("x-stream-id");
    if (streamId && this.#streamId && streamId !== this.#streamId) {
      this.#settle(null, "superseded");
      return false;
    }
    this.#streamId ||= streamId ?? "";
    return true;
  }

  #refused(response) {
    const retryable = response.status >= 500 || RETRYABLE.has(response.status);
    if (!retryable) return this.#settle(null, `http_${response.status}`);
    return (Number(response.headers.get("retry-after")) || 0) * 1000;
  }

  #settle(outcome, code) {
    this.outcome = outcome;
    this.code = code;
    this.settled = this.#ended = true;
    this.#setStatus(STATUS_OF_OUTCOME[outcome] ?? "done");
    return 0;
  }

  #setStatus(status) {
    if (status === this.status) return;
    this.status = status;
    this.#onChange(this);
  }

  /** Full jitter: many clients cut at once must not come back at once. */
  #delay(tries) {
    const { firstDelayMs, maxDelayMs } = this.#limits;
    return this.#random() * Math.min(maxDelayMs, firstDelayMs * 2 ** (tries - 1));
  }

  async #sleep(ms) {
    if (this.#ended) return;
    let timer;
    await new Promise((resolve) => {
      this.#wakeSleeper = resolve;
      if (ms !== null) timer = this.#clock.setTimer(resolve, ms);
    });
    this.#clock.clearTimer(timer);
    this.#wakeSleeper = null;
  }
}
