/** A scripted server, and a clock that moves only when told to. */

export class ManualClock {
  #now = 0;
  #timers = new Map();
  #next = 1;

  now = () => this.#now;

  setTimer = (callback, ms) => {
    this.#timers.set(this.#next, { at: this.#now + ms, callback });
    return this.#next++;
  };

  clearTimer = (timer) => {
    this.#timers.delete(timer);
  };

  /** The pending waits, soonest first, in ms from now. */
  get waits() {
    return [...this.#timers.values()].map(({ at }) => at - this.#now).sort((a, b) => a - b);
  }

  advance(ms) {
    this.#now += ms;
    for (const [timer, { at, callback }] of [...this.#timers]) {
      if (at > this.#now) continue;
      this.#timers.delete(timer);
      callback();
    }
  }
}

/** Answers request i with step i, and every further request with the last step. */
export class ScriptedServer {
  asked = [];
  waits = [];
  #steps;

  constructor(...steps) {
    this.#steps = steps;
  }

  open = async (after, signal, wait) => {
    const step = this.#steps[Math.min(this.asked.length, this.#steps.length - 1)];
    this.asked.push(after);
    this.waits.push(wait);
    return step({ after, signal });
  };
}

export const frame = (offset, event) => `id: ${offset}\ndata: ${JSON.stringify(event)}\n\n`;

/** The frames of a whole answer: start, step, text-start, one delta per piece, the end. */
export function answerFrames(pieces, { outcome = "completed", code } = {}) {
  const events = [
    { type: "start", messageId: "m1" },
    { type: "start-step" },
    { type: "text-start", id: "t1" },
    ...pieces.map((delta) => ({ type: "text-delta", id: "t1", delta })),
    { type: "text-end", id: "t1" },
    { type: "finish-step" },
    { type: "finish", messageMetadata: code ? { outcome, code } : { outcome } },
  ];
  return events.map((event, index) => frame(index + 1, event));
}

/** Answers with a body that ends after these frames. */
export const body =
  (frames, init) =>
  () =>
    new Response(frames.join(""), init);

/** Answers with the frames after the cursor and the end marker, as the real server does. */
export const resumed =
  (frames) =>
  ({ after }) =>
    new Response([...frames.slice(after), "data: [DONE]\n\n"].join(""));

/** Answers with a body that stays open after these frames until the client drops it. */
export const silentAfter = (frames, init) => () =>
  new Response(
    new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode(frames.join(""))),
    }),
    init,
  );

export const status = (code, headers) => () => new Response("{}", { status: code, headers });

export const refused = () => {
  throw new TypeError("Failed to fetch");
};

/** Resolves once the condition holds; it needs only the event loop to turn, not time to pass. */
export async function until(condition) {
  for (let turn = 0; turn < 1_000; turn += 1) {
    if (condition()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`never came true: ${condition}`);
}
