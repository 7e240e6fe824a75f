// The synthetic source; bench/source.py is the same in Python.

const TICK_US = 1000;
const BREATH = 64; // deltas in a row before an unthrottled source gives the event loop a turn

/** CLOCK_MONOTONIC in microseconds: the clock of the load generator too. */
const ORIGIN = Number(process.hrtime.bigint() / 1000n) - performance.now() * 1000;
export const now = () => Math.round(ORIGIN + performance.now() * 1000);

const stamp = (number, due) =>
  String(number).padStart(8, "0") + "@" + String(due).padStart(14, "0") + " ";

const briefStamp = (number) => number.toString(36).padStart(3, "0") + "@";

export const briefFrameOf = (number) =>
  'data: {"type":"text-delta","id":"1","delta":"' + briefStamp(number) + '"}\n\n';

export const eventOf = (number, due) => ({ type: "text-delta", id: "1", delta: stamp(number, due) });

export const frameOf = (number, due) =>
  'data: {"type":"text-delta","id":"1","delta":"' + stamp(number, due) + '"}\n\n';

/** Emits what is due, for all streams of the process, from one timer. */
class Ticker {
  #due = new Map(); // millisecond -> sources with a delta in it
  #timer = undefined;
  #wakes = Infinity;

  add(source, due) {
    const tick = Math.ceil(due / TICK_US);
    const sources = this.#due.get(tick);
    if (sources === undefined) this.#due.set(tick, [source]);
    else sources.push(source);
    if (tick < this.#wakes && !this.running) this.#sleep();
  }

  #sleep() {
    if (this.#due.size === 0) return;
    clearTimeout(this.#timer);
    this.#wakes = Math.min(...this.#due.keys());
    this.#timer = setTimeout(() => this.#run(), Math.max(0, (this.#wakes * TICK_US - now()) / 1000));
  }

  #run() {
    this.running = true;
    this.#wakes = Infinity;
    const present = Math.floor(now() / TICK_US);
    for (const tick of [...this.#due.keys()].filter((tick) => tick <= present).sort((a, b) => a - b)) {
      const sources = this.#due.get(tick);
      this.#due.delete(tick);
      for (const source of sources) source.emit();
    }
    this.running = false;
    this.#sleep();
  }
}

const ticker = new Ticker();

/** A stream's worth of deltas, at `rate` per second, or as fast as they are taken if it is 0. */
export class Source {
  constructor({ count, rate, seconds, make }) {
    Object.assign(this, { count, rate, seconds, make });
    this.produced = 0;
    this.elapsed = null; // microseconds, once all is taken
    this.go = new Promise((resolve) => (this.start = resolve));
    this.end = new Promise((resolve) => (this.finish = resolve));
  }

  /** As a ReadableStream of what `make` makes of a delta; `last` follows when `end` resolves. */
  stream(last) {
    return this.rate > 0 ? this.#paced(last) : this.#unthrottled(last);
  }

  #paced(last) {
    return new ReadableStream({
      start: (controller) => {
        this.go.then(() => {
          const begun = now();
          this.emit = () => {
            const due = Math.round(begun + (this.produced * 1e6) / this.rate);
            this.produced += 1;
            controller.enqueue(this.make(this.produced, due));
            if (this.produced < this.count) {
              ticker.add(this, begun + (this.produced * 1e6) / this.rate);
              return;
            }
            this.elapsed = now() - begun;
            this.#close(controller, last);
          };
          ticker.add(this, begun);
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
          const over = this.seconds > 0 && this.produced % BREATH === 0 && now() - begun > this.seconds * 1e6;
          if (over || this.produced >= this.count) {
            done = true;
            this.elapsed = now() - begun;
            return this.#close(controller, last);
          }
          if (this.produced % BREATH !== 0) return this.#pour(controller, begun);
          return new Promise((resolve) => setImmediate(resolve)).then(() => this.#pour(controller, begun));
        },
      },
      { highWaterMark: 0 },
    );
  }

  #pour(controller) {
    this.produced += 1;
    controller.enqueue(this.make(this.produced, now()));
  }

  async #close(controller, last) {
    await this.end;
    if (last !== undefined) controller.enqueue(last);
    controller.close();
  }
}
