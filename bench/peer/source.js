// The synthetic source; bench/source.py is its Python twin.

const TICK_US = 1000;
const YIELD_EVERY = 64; // deltas in a row before an unthrottled source gives the event loop a turn

/** CLOCK_MONOTONIC in microseconds, the load generator's clock. */
const ORIGIN = Number(process.hrtime.bigint() / 1000n) - performance.now() * 1000;
export const now = () => Math.round(ORIGIN + performance.now() * 1000);

/** The part of the text that all deltas due at `due` share. */
const markOf = (due) => "@" + String(due).padStart(14, "0") + " ";

const stamp = (number, mark) => String(number).padStart(8, "0") + mark;

const briefStamp = (number) => number.toString(36).padStart(3, "0") + "@";

export const briefFrameOf = (number) =>
  'data: {"type":"text-delta","id":"1","delta":"' + briefStamp(number) + '"}\n\n';

export const eventOf = (number, mark) => ({ type: "text-delta", id: "1", delta: stamp(number, mark) });

export const frameOf = (number, mark) =>
  'data: {"type":"text-delta","id":"1","delta":"' + stamp(number, mark) + '"}\n\n';

/**
 * Emits the deltas that are due, for all streams of the process, from one timer. The deltas of a
 * stream are a whole number of milliseconds apart, so it keeps its slot in a wheel that turns once
 * in that time.
 */
class Ticker {
  #wheels = new Map(); // period in ticks -> slots of sources
  #timer = undefined;
  #next = 0;

  add(emit, period) {
    const ticks = Math.floor(period / TICK_US);
    if (!this.#wheels.has(ticks)) this.#wheels.set(ticks, Array.from({ length: ticks }, () => new Set()));
    const tick = Math.floor(now() / TICK_US) + 1;
    this.#wheels.get(ticks)[tick % ticks].add(emit);
    if (this.#timer === undefined || tick < this.#next) {
      clearTimeout(this.#timer);
      this.#next = tick;
      this.#sleep();
    }
  }

  /** Sets the timer for the next tick that has something due. */
  #sleep() {
    let next = Infinity;
    for (const [ticks, wheel] of this.#wheels) {
      for (let tick = this.#next; tick < this.#next + ticks; tick += 1) {
        if (wheel[tick % ticks].size === 0) continue;
        next = Math.min(next, tick);
        break;
      }
    }
    this.#timer = undefined;
    if (next === Infinity) return;
    this.#next = next;
    this.#timer = setTimeout(() => this.#run(), Math.max(0, (this.#next * TICK_US - now()) / 1000));
  }

  #run() {
    const present = Math.floor(now() / TICK_US);
    for (let tick = this.#next; tick <= present; tick += 1) {
      const mark = markOf(tick * TICK_US);
      for (const [ticks, wheel] of this.#wheels) {
        const slot = wheel[tick % ticks];
        for (const emit of slot) if (!emit(mark)) slot.delete(emit);
      }
    }
    this.#next = Math.max(present + 1, this.#next);
    this.#sleep();
  }
}

const ticker = new Ticker();

/** The deltas of one stream, `rate` per second, or as fast as they are read if it is 0. */
export class Source {
  constructor({ count, rate, seconds, make }) {
    Object.assign(this, { count, rate, seconds, make });
    this.produced = 0;
    this.elapsed = null; // microseconds, once the source has ended
    this.go = new Promise((resolve) => (this.start = resolve));
    this.end = new Promise((resolve) => (this.finish = resolve));
  }

  /** Returns a ReadableStream of `make`'s deltas; `last` follows when `end` resolves. */
  stream(last) {
    return this.rate > 0 ? this.#paced(last) : this.#unthrottled(last);
  }

  #paced(last) {
    return new ReadableStream({
      start: (controller) => {
        this.go.then(() => {
          const begun = now();
          const emit = (mark) => {
            this.produced += 1;
            controller.enqueue(this.make(this.produced, mark));
            if (this.produced < this.count) return true;
            this.elapsed = now() - begun;
            this.#close(controller, last);
            return false;
          };
          ticker.add(emit, 1e6 / this.rate);
        });
      },
    });
  }

  #unthrottled(last) {
    let begun;
    let done = false;
    return new ReadableStream(
      {
        pull: (controller) => {
          if (begun === undefined) return this.go.then(() => this.#pour(controller, (begun = now())));
          if (done) return undefined;
          const over = this.seconds > 0 && this.produced % YIELD_EVERY === 0 && now() - begun > this.seconds * 1e6;
          if (over || this.produced >= this.count) {
            done = true;
            this.elapsed = now() - begun;
            return this.#close(controller, last);
          }
          if (this.produced % YIELD_EVERY !== 0) return this.#pour(controller, begun);
          return new Promise((resolve) => setImmediate(resolve)).then(() => this.#pour(controller, begun));
        },
      },
      { highWaterMark: 0 },
    );
  }

  #pour(controller) {
    this.produced += 1;
    controller.enqueue(this.make(this.produced, markOf(now())));
  }

  async #close(controller, last) {
    await this.end;
    if (last !== undefined) controller.enqueue(last);
    controller.close();
  }
}
