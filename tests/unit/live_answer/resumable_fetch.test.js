import { expect, test } from "bun:test";

import { createResumableFetch, EventReader, StreamLost } from "../../../assets/resumable-fetch.js";
import { answerFrames, frame, ManualClock, refused, silentAfter, status, until } from "./support.js";

const FRAMES = answerFrames(["Hel", "lo ", "日本", " 🎉"]);
const DONE = "data: [DONE]\n\n";
const WHOLE = FRAMES.join("") + DONE;
const BYTES = new TextEncoder().encode(WHOLE);
const API = "http://chat.test/api/chat";
const PROMPT = { id: "c1", messages: [{ id: "m1", role: "user", parts: [] }], trigger: "submit-message" };

const stream = (content, { headers, ...init } = {}) =>
  new Response(content, {
    ...init,
    headers: { "content-type": "text/event-stream", "x-stream-id": "s1", ...headers },
  });

/** A fetch that answers request i with step i, or with the rest of the answer once the steps are used up. */
class ScriptedFetch {
  requests = [];
  #steps;

  constructor(...steps) {
    this.#steps = steps;
  }

  fetch = async (input, init = {}) => {
    const headers = new Headers(init.headers);
    const request = { url: `${input}`, init, headers, cursor: headers.get("last-event-id") };
    this.requests.push(request);
    const step = this.#steps.shift() ?? rest;
    return step(request);
  };

  get cursors() {
    return this.requests.map(({ cursor }) => cursor && Number(cursor));
  }
}

const rest = ({ cursor }) => stream(FRAMES.slice(cursor).join("") + DONE);

function resumable(server, options = {}) {
  const clock = new ManualClock();
  const fetch = createResumableFetch({ fetch: server.fetch, clock, random: () => 1, ...options });
  return { clock, fetch };
}

const post = (fetch, { body = PROMPT, ...init } = {}) =>
  fetch(API, { method: "POST", body: JSON.stringify(body), ...init });

/** Resolves when the client waits before its next try. */
const napping = (clock) => until(() => clock.waits.length > 0 && clock.waits[0] < 10_000);

test("cut after any byte, the caller gets the whole body once", async () => {
  for (let cut = 0; cut < BYTES.length; cut += 1) {
    const server = new ScriptedFetch(() => stream(BYTES.slice(0, cut)));
    const { clock, fetch } = resumable(server);
    const text = (await post(fetch)).text();
    const complete = new EventReader().push(BYTES.slice(0, cut)).length;
    if (complete === 0) {
      await napping(clock);
      clock.advance(500);
    }
    expect(await text).toBe(WHOLE);
    const needed = complete < FRAMES.length;
    expect(server.cursors).toEqual(needed ? [null, complete] : [null]);
  }
});

test("six cuts in one answer are invisible", async () => {
  const cuts = [1, 2, 4, 5, 7, 8].map((end, i, all) => () =>
    stream(FRAMES.slice(all[i - 1] ?? 0, end).join("") + "id: 99\nda"),
  );
  const server = new ScriptedFetch(...cuts);
  const { fetch } = resumable(server);
  expect(await (await post(fetch)).text()).toBe(WHOLE);
  expect(server.cursors).toEqual([null, 1, 2, 4, 5, 7, 8]);
});

test("a resume asks for the rest of the same chat, with the same credentials", async () => {
  const server = new ScriptedFetch(() => stream(FRAMES[0]));
  const { fetch } = resumable(server);
  const headers = { "content-type": "application/json", authorization: "Bearer t" };
  const sent = await fetch(`${API}?x=1`, {
    method: "POST",
    body: JSON.stringify(PROMPT),
    headers,
    credentials: "include",
  });
  await sent.text();
  const { url, init, headers: kept } = server.requests[1];
  expect(url).toBe(`${API}?x=1&chatId=c1&streamId=s1`);
  expect([init.method, init.body, init.credentials]).toEqual(["GET", undefined, "include"]);
  expect([...kept.keys()].sort()).toEqual(["authorization", "last-event-id"]);
});

test("a resume by the SDK is itself resumed after a cut", async () => {
  const server = new ScriptedFetch(() => stream(FRAMES.slice(0, 3).join("")));
  const { fetch } = resumable(server);
  expect(await (await fetch(`${API}/c%201/stream`)).text()).toBe(WHOLE);
  expect(server.requests[1].url).toBe(`${API}?chatId=c+1&streamId=s1`);
});

test("duplicates are dropped and a gap is filled", async () => {
  const twiceAndAGap = [...FRAMES.slice(0, 6), FRAMES[3], ...FRAMES.slice(7)];
  const server = new ScriptedFetch(() => stream(twiceAndAGap.join("")));
  const { fetch } = resumable(server);
  expect(await (await post(fetch)).text()).toBe(WHOLE);
  expect(server.cursors).toEqual([null, 6]);
});

test("other requests and other answers pass untouched", async () => {
  const answers = [
    () => new Response("page"),
    () => Response.json({ code: "turn_in_progress" }, { status: 409 }),
    () => stream(FRAMES[0], { headers: { "content-type": "application/json" } }),
    () => new Response(FRAMES[0], { headers: { "content-type": "text/event-stream" } }),
    () => new Response(null, { status: 204 }),
  ];
  const given = [];
  const server = { fetch: async () => given[given.push(answers.shift()()) - 1] };
  const { fetch } = resumable(server);
  expect(await fetch("http://chat.test/")).toBe(given[0]);
  for (const _ of [1, 2, 3]) expect(await post(fetch)).toBe(given.at(-1));
  expect(await fetch(`${API}/c1/stream`)).toBe(given[4]);
});

test("an address that only looks like a chat's is not retried until it has answered as one", async () => {
  for (const url of ["http://chat.test/x/%E0/stream", "http://radio.test/live/stream"]) {
    const given = new Response(null, { status: 503 });
    const server = new ScriptedFetch(() => given);
    const { fetch } = resumable(server);
    expect(await fetch(url)).toBe(given);
    expect(server.requests.length).toBe(1);
  }
  const cut = new ScriptedFetch(() => stream(FRAMES.slice(0, 3).join("")));
  const { fetch } = resumable(cut);
  expect(await (await fetch("http://chat.test/behind/c1/stream")).text()).toBe(WHOLE);
});

test("after an abort there is no further request, and the caller gets the reason", async () => {
  const server = new ScriptedFetch(silentStream(FRAMES.slice(0, 4)));
  const { fetch } = resumable(server);
  const abort = new AbortController();
  const reader = (await post(fetch, { signal: abort.signal })).body.getReader();
  await reader.read();
  const pending = reader.read();
  abort.abort(new Error("enough"));
  await expect(pending).rejects.toThrow("enough");
  expect(server.requests.length).toBe(1);
});

test("an abort ends the wait before the next try", async () => {
  const server = new ScriptedFetch(() => stream(""));
  const { clock, fetch } = resumable(server);
  const abort = new AbortController();
  const text = (await post(fetch, { signal: abort.signal })).text();
  await napping(clock);
  abort.abort(new Error("enough"));
  await expect(text).rejects.toThrow("enough");
  expect(server.requests.length).toBe(1);
});

test("a body that is cancelled drops its connection", async () => {
  const server = new ScriptedFetch(() => stream(FRAMES[0]), silentStream(FRAMES.slice(1, 4)));
  const { fetch } = resumable(server);
  const reader = (await post(fetch)).body.getReader();
  await reader.read();
  await reader.read();
  await reader.cancel();
  expect(server.requests[1].init.signal.aborted).toBe(true);
  expect(server.requests.length).toBe(2);
});

test("it reads no faster than its caller", async () => {
  let pulled = 0;
  const source = new ReadableStream(
    { pull: (controller) => controller.enqueue(new TextEncoder().encode(FRAMES[pulled++])) },
    { highWaterMark: 0 },
  );
  const { fetch } = resumable(new ScriptedFetch(() => stream(source)));
  const reader = (await post(fetch)).body.getReader();
  await reader.read();
  await reader.read();
  expect(pulled).toBe(2);
});

test("a silent connection is replaced", async () => {
  const server = new ScriptedFetch(silentStream(FRAMES.slice(0, 4)));
  const { clock, fetch } = resumable(server);
  const text = (await post(fetch)).text();
  await until(() => clock.waits[0] === 40_000);
  clock.advance(40_000);
  expect(await text).toBe(WHOLE);
});

test("once the retries are used up, the caller gets the error", async () => {
  const server = new ScriptedFetch(() => stream(FRAMES[0]), ...Array(4).fill(refused));
  const { clock, fetch } = resumable(server, { maxRetries: 3 });
  const text = (await post(fetch)).text();
  const outcome = text.catch((error) => error);
  for (const wait of [500, 1_000, 2_000]) {
    await napping(clock);
    expect(clock.waits[0]).toBe(wait);
    clock.advance(wait);
  }
  expect(await outcome).toMatchObject({ name: "StreamLost", code: "unreachable" });
  expect((await outcome).cause).toBeInstanceOf(TypeError);
  expect(server.requests.length).toBe(5);
});

for (const code of [401, 404, 410]) {
  test(`a resume refused with ${code} is an error for the caller at once`, async () => {
    const server = new ScriptedFetch(() => stream(FRAMES[0]), status(code));
    const { fetch } = resumable(server);
    await expect((await post(fetch)).text()).rejects.toMatchObject({ code: `http_${code}` });
  });
}

test("another answer in its place is an error, not a text", async () => {
  const other = () => stream(WHOLE, { headers: { "x-stream-id": "s2" } });
  const { fetch } = resumable(new ScriptedFetch(() => stream(FRAMES[0]), other));
  await expect((await post(fetch)).text()).rejects.toBeInstanceOf(StreamLost);
});

test("an answer whose events are gone is an error, not a short text", async () => {
  const stored = frame("end", { type: "data-appendMessage", data: "{}" }).replace("id: end\n", "");
  const { fetch } = resumable(new ScriptedFetch(() => stream(FRAMES[0]), () => stream(stored + DONE)));
  await expect((await post(fetch)).text()).rejects.toMatchObject({ code: "expired" });
});

test("a body after which nothing follows ends normally", async () => {
  const nothing = () => new Response(null, { status: 204, headers: { "x-stream-id": "s1" } });
  const { fetch } = resumable(new ScriptedFetch(() => stream(FRAMES[0]), nothing));
  expect(await (await post(fetch)).text()).toBe(FRAMES[0] + DONE);
});

test("a prompt that got no answer is sent again, the same", async () => {
  const server = new ScriptedFetch(refused, status(503, { "retry-after": "2" }), rest);
  const { clock, fetch } = resumable(server);
  const text = post(fetch).then((response) => response.text());
  for (const wait of [500, 2_000]) {
    await napping(clock);
    expect(clock.waits[0]).toBe(wait);
    clock.advance(wait);
  }
  expect(await text).toBe(WHOLE);
  expect(new Set(server.requests.map(({ init }) => init.body)).size).toBe(1);
});

test("resending ends after the retries, and the caller gets the last answer", async () => {
  const server = new ScriptedFetch(refused, refused, status(503), refused);
  const { clock, fetch } = resumable(server, { maxRetries: 2 });
  const response = post(fetch);
  for (const wait of [500, 1_000]) {
    await napping(clock);
    clock.advance(wait);
  }
  expect((await response).status).toBe(503);
  expect(server.requests.length).toBe(3);
});

for (const [what, body] of Object.entries({
  "a new reply": { ...PROMPT, trigger: "regenerate-message" },
  "more of a reply": { id: "c1", messages: [{ id: "r1", role: "assistant" }] },
  "a prompt without an id": { id: "c1", message: { role: "user" } },
})) {
  test(`${what} is not asked for twice`, async () => {
    const server = new ScriptedFetch(refused);
    const { fetch } = resumable(server);
    await expect(post(fetch, { body })).rejects.toThrow("Failed to fetch");
    expect(server.requests.length).toBe(1);
  });
}

test("its status is reported", async () => {
  const seen = [];
  const server = new ScriptedFetch(() => stream(FRAMES[0]));
  const { fetch } = resumable(server, { onStatus: (now, chatId) => seen.push([now, chatId]) });
  await (await post(fetch)).text();
  expect(seen).toEqual([["streaming", "c1"], ["reconnecting", "c1"], ["streaming", "c1"]]);
});

function silentStream(frames) {
  const { body } = silentAfter(frames)();
  return () => stream(body);
}

/** A proxy that holds back the answer, headers included, for ever. */
const heldBack = ({ init }) =>
  new Promise((_, reject) => {
    init.signal.addEventListener("abort", () => reject(init.signal.reason));
  });

test("a prompt whose answer is held back, headers and all, is polled", async () => {
  const server = new ScriptedFetch(heldBack, () => stream(FRAMES.slice(0, 3).join("")));
  const { clock, fetch } = resumable(server);
  const response = post(fetch);
  await until(() => clock.waits.includes(10_000));
  clock.advance(10_000);
  expect(await (await response).text()).toBe(WHOLE);
  expect(server.requests.map(({ url }) => new URL(url).searchParams.get("wait"))).toEqual([null, "20", "20"]);
  expect(server.requests[1].init.body).toBe(JSON.stringify(PROMPT));
  expect(server.cursors).toEqual([null, null, 3]);
});

test("a regeneration is awaited, however long it is held back", async () => {
  const body = { ...PROMPT, trigger: "regenerate-message" };
  const server = new ScriptedFetch(() => new Promise(() => {}));
  const { clock, fetch } = resumable(server);
  post(fetch, { body });
  await until(() => server.requests.length === 1);
  expect(clock.waits).toEqual([]);
});

test("the caller's abort reaches a prompt that is held back", async () => {
  const server = new ScriptedFetch(heldBack);
  const { fetch } = resumable(server);
  const leaving = new AbortController();
  const response = post(fetch, { signal: leaving.signal });
  await until(() => server.requests.length === 1);
  leaving.abort();
  await expect(response).rejects.toThrow();
  expect(server.requests.length).toBe(1);
});
