/**
 * Limits how often a growing answer is rendered: at most once per frame, and a quarter of the time.
 *
 * A list or a table is one block, which Markdown rebuilds with each delta: the longer it is, the
 * longer that takes, and the less often it is done. Readers see no difference; batteries last.
 */
const REST_FACTOR = 3; // times the duration of the last render, with its layout
const MAX_REST_MS = 300;
const FRAME_MS = 16;

const PAGE = {
  now: () => performance.now(),
  later: (act, ms) => setTimeout(act, ms),
  /** A hidden page gets no frames; a timer will do there. */
  frame: (act) => (document.hidden ? setTimeout(act, 200) : requestAnimationFrame(act)),
};

export class Pacer {
  #render;
  #page;
  #wanted = false;
  #busy = false;
  #restsUntil = 0;

  /**
   * @param {() => void} render
   * @param {typeof PAGE} [page] Its clock, timers and frames.
   */
  constructor(render, page = PAGE) {
    this.#render = render;
    this.#page = page;
  }

  /** Asks for a render, because there is something new. */
  request() {
    this.#wanted = true;
    if (!this.#busy) this.#plan();
  }

  #plan() {
    this.#busy = true;
    const rest = this.#restsUntil - this.#page.now();
    if (rest > FRAME_MS) this.#page.later(() => this.#page.frame(this.#go), rest - FRAME_MS);
    else this.#page.frame(this.#go);
  }

  #go = () => {
    this.#wanted = false;
    const began = this.#page.now();
    this.#render();
    // The next task runs after layout and paint.
    this.#page.later(() => {
      const ended = this.#page.now();
      this.#restsUntil = ended + Math.min(MAX_REST_MS, REST_FACTOR * (ended - began));
      this.#busy = false;
      if (this.#wanted) this.#plan();
    }, 0);
  };
}
