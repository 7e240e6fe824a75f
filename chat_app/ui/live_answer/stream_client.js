/**
 * Follows one answer as it grows, until its stream has closed, whatever the network does.
 *
 *     idle → streaming → done | stopped | failed | interrupted
 *            streaming ⇄ reconnecting → disconnected
 *
 * `resumable-fetch.js` handles order, gaps and reconnecting; here the events become a text and an
 * outcome. Errors never become part of the text. `disconnected` lasts until `wake()`; with a
 * `code`, the server has refused, and the database may know more.
 *
 * Needs neither React nor a page: clock, randomness and connection are passed in.
 */
import { Follower, StreamLost } from "$/public/resumable-fetch.js";

const STATUS_OF_OUTCOME = {
  completed: "done",
  stopped: "stopped",
  failed: "failed",
  interrupted: "interrupted",
};

export class StreamClient {
  status = "idle";
  text = "";
  reasoning = "";
  /** How long the model thought before it answered; null while unknown. */
  thoughtMs = null;
  /** How the stream closed; null while it is open, or when the server did not say. */
  outcome = null;
  /** Stable identifier of what went wrong, if anything did. */
  code = null;
  /** Whether the stream's end has been seen. */
  settled = false;
  /** How often there was reason to ask the database: at the end, and at each refusal. */
  reports = 0;

  #follower;
  #onChange;
  #failure = null;
  #aborted = false;

  /**
   * @param {object} options
   * @param {(after: number, signal: AbortSignal, wait: number | null) => Promise<Response>} options.open
   *   Asks the server for the events after an offset; see `Follower`.
   * @param {(client: StreamClient) => void} [options.onChange] Called after every change.
   * @param {string} [options.streamId] The expected stream; another one is never mixed in.
   * Further options are those of `Follower`.
   */
  constructor({ onChange = () => {}, ...options }) {
    this.#onChange = onChange;
    this.#follower = new Follower({
      ...options,
      persistent: true,
      onStatus: (status, reason) => this.#onStatus(status, reason),
    });
  }

  /** Offset of the last event taken. */
  get cursor() {
    return this.#follower.cursor;
  }

  /**
   * Follows the stream; returns when it has closed or `close()` was called.
   * @returns {Promise<void>}
   */
  async follow() {
    try {
      for await (const batch of this.#follower.batches()) {
        for (const { event } of batch) {
          this.#apply(event);
          if (this.settled) return;
        }
        this.#onChange(this);
      }
      if (this.#follower.closed) return;
      this.#settle(this.#aborted ? "stopped" : this.#failure ? "failed" : null, this.#failure);
    } catch (error) {
      if (!(error instanceof StreamLost)) throw error;
      this.#settle(null, error.code);
    }
  }

  /** Connects now instead of later: the reader asked for it, or the page is back. */
  wake() {
    this.#follower.wake();
  }

  /** Stops following, without a result. The answer itself goes on elsewhere. */
  close() {
    this.#follower.close();
  }

  #onStatus(status, reason) {
    const refused = reason !== null && reason.isFinal;
    if (refused) this.reports += 1;
    this.#setStatus(status, refused ? reason.code : null);
  }

  #apply(event) {
    if (event.type === "start") this.text = this.reasoning = ""; // a replay from the beginning
    else if (event.type === "text-delta") this.text += event.delta;
    else if (event.type === "reasoning-delta") this.reasoning += event.delta;
    else if (event.type === "message-metadata") this.#learn(event.messageMetadata);
    else if (event.type === "error") this.#failure = event.code ?? "error";
    else if (event.type === "abort") this.#aborted = true;
    else if (event.type === "finish") this.#finish(event.messageMetadata ?? {});
    else if (event.type === "data-appendMessage") this.#takeWhole(event.data);
  }

  #learn({ reasoning_ms: thoughtMs }) {
    this.thoughtMs = thoughtMs ?? this.thoughtMs;
  }

  #finish({ outcome, code }) {
    const guess = this.#aborted ? "stopped" : this.#failure ? "failed" : "completed";
    this.#settle(outcome ?? guess, code ?? this.#failure);
  }

  /** For a stream that has closed, the server may send the stored message instead of its events. */
  #takeWhole(data) {
    const message = typeof data === "string" ? JSON.parse(data) : data;
    const joined = (type) => (message.parts ?? []).map((part) => (part.type === type ? part.text : "")).join("");
    this.text = joined("text");
    this.reasoning = joined("reasoning");
    this.#learn(message.metadata ?? {});
    const status = message.metadata?.status;
    this.#settle(status in STATUS_OF_OUTCOME ? status : "completed", null);
  }

  #settle(outcome, code) {
    this.outcome = outcome;
    this.settled = true;
    this.reports += 1;
    this.#setStatus(STATUS_OF_OUTCOME[outcome] ?? "done", code);
  }

  #setStatus(status, code) {
    this.status = status;
    this.code = code;
    this.#onChange(this);
  }
}
