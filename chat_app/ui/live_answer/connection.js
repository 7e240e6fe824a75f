/** What a client knows of one connection: whether it lives, and whether it skips anything. */

export const browserClock = {
  now: () => performance.now(),
  setTimer: (callback, ms) => setTimeout(callback, ms),
  clearTimer: (timer) => clearTimeout(timer),
};

/** One request's lifetime: a way to drop it, and a watchdog that drops it when it falls silent. */
export class Connection {
  #abort = new AbortController();
  #clock;
  #stallMs;
  #timer;
  #heardAt;

  constructor(clock, stallMs) {
    this.#clock = clock;
    this.#stallMs = stallMs;
    this.touch();
  }

  get signal() {
    return this.#abort.signal;
  }

  touch() {
    this.#clock.clearTimer(this.#timer);
    this.#heardAt = this.#clock.now();
    this.#timer = this.#clock.setTimer(() => this.drop(), this.#stallMs);
  }

  onDrop(callback) {
    this.signal.addEventListener("abort", callback, { once: true });
  }

  dropIfSilentFor(ms) {
    if (this.#clock.now() - this.#heardAt >= ms) this.drop();
  }

  drop() {
    this.#clock.clearTimer(this.#timer);
    this.#abort.abort();
  }
}

/**
 * Proves that one response has no gap.
 *
 * Offsets are dense, with one exception: a replay from the beginning may be compacted, each part
 * arriving as a single delta under the last offset it holds. So jumps are fine until a part's
 * second delta shows that the events are live ones.
 */
export class OffsetCheck {
  #last;
  #mayJump;
  #parts = new Set();

  constructor(cursor) {
    this.#last = cursor;
    this.#mayJump = cursor === 0;
  }

  check(offset, event) {
    if (event.type.endsWith("-delta")) {
      if (this.#parts.has(event.id)) this.#mayJump = false;
      this.#parts.add(event.id);
    }
    if (offset !== this.#last + 1 && !this.#mayJump) {
      throw new Error(`gap between offsets ${this.#last} and ${offset}`);
    }
    this.#last = offset;
  }
}
