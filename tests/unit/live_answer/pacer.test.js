import { expect, test } from "bun:test";

import { Pacer } from "../../../chat_app/ui/live_answer/pacer.js";

const FRAME_MS = 16;

/** A page whose clock moves only when told to, and whose renders take `cost` ms. */
function slowPage(cost) {
  const page = { time: 0, renders: 0, due: [] };
  page.now = () => page.time;
  page.later = (act, ms) => page.due.push({ at: page.time + ms, act });
  page.frame = (act) => page.later(act, FRAME_MS - (page.time % FRAME_MS));
  page.render = () => {
    page.renders += 1;
    page.time += cost;
  };
  page.goTo = (time) => {
    for (let next; (next = page.due.sort((a, b) => a.at - b.at)[0])?.at <= time; ) {
      page.due.shift();
      page.time = Math.max(page.time, next.at);
      next.act();
    }
    page.time = Math.max(page.time, time);
  };
  return page;
}

function stream(cost, { everyMs, deltas }) {
  const page = slowPage(cost);
  const pacer = new Pacer(page.render, page);
  for (let number = 1; number <= deltas; number += 1) {
    page.goTo(number * everyMs);
    pacer.request();
  }
  return page;
}

test("a text that renders quickly is rendered with each delta", () => {
  const page = stream(2, { everyMs: 20, deltas: 100 });
  page.goTo(page.time + 100);
  expect(page.renders).toBe(100);
});

test("many deltas in one frame are one render", () => {
  const page = stream(2, { everyMs: 1, deltas: 160 });
  expect(page.renders).toBeLessThanOrEqual(10);
});

test.each([8, 12, 30, 90])("a text that takes %d ms to render takes up no more than a third of the time", (cost) => {
  const page = stream(cost, { everyMs: 20, deltas: 400 });
  expect(page.renders * cost).toBeLessThan(page.time / 3);
  expect(page.renders * cost).toBeGreaterThan(page.time / 8);
});

test("however long a render takes, the newest text is shown soon after", () => {
  const page = slowPage(2_000);
  const pacer = new Pacer(page.render, page);
  pacer.request();
  page.goTo(2_100);
  pacer.request();
  page.goTo(page.time + 400);
  expect(page.renders).toBe(2);
});
