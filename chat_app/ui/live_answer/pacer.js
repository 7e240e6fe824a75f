/**
 * How often a growing answer is rendered: at most once per frame, and for a quarter of the time.
 *
 * A list or a table is one block, which markdown makes anew with each delta: the longer it is, the
 * longer that takes, and the rarer it is done. A reader sees no difference, a battery does.
 */
const RESTS = 3; // times as long as the last render took, with its layout
const MAX_REST_MS = 300;
const FRAME_MS = 16;

const PAGE = {
  now: () => performance.now(),
  later: (act, ms) => setTimeout(act, ms),
  /** Frames stop in a hidden page, where a timer does as well. */
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
   * @param {typeof PAGE} [page] Its clock and its frames.
   */
  constructor(render, page = PAGE) {
    this.#render = render;
    this.#page = page;
  }

  /** There is something new: it will be rendered. */
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
    // The next task comes after layout and paint.
    this.#page.later(() => {
      const ended = this.#page.now();
      this.#restsUntil = ended + Math.min(MAX_REST_MS, RESTS * (ended - began));
      this.#busy = false;
      if (this.#wanted) this.#plan();
    }, 0);
  };
}
