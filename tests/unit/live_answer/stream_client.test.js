import { expect, test } from "bun:test";

import { StreamClient } from "../../../chat_app/ui/live_answer/stream_client.js";
import {
  answerFrames,
  body,
  frame,
  ManualClock,
  refused,
  resumed,
  ScriptedServer,
  silentAfter,
  status,
  until,
} from "./support.js";

const PIECES = ["Hel", "lo ", "wor", "ld ", "日本", " 🎉"];
const TEXT = PIECES.join("");
const FRAMES = answerFrames(PIECES);

const STALL_MS = 40_000;

/** Resolves when the client waits for its next try rather than for the next byte. */
const napping = (clock) => until(() => clock.waits.length > 0 && clock.waits[0] < STALL_MS);

function follow(server, options = {}) {
  const clock = new ManualClock();
  const seen = [];
  const client = new StreamClient({
    open: server.open,
    clock,
    random: () => 1,
    stallMs: STALL_MS,
    firstBytesMs: STALL_MS,
    onChange: ({ status: now }) => seen.at(-1) !== now && seen.push(now),
    ...options,
  });
  return { client, clock, seen, end: client.follow() };
}

test("an uncut stream is followed to its end", async () => {
  const { client, seen, end } = follow(new ScriptedServer(resumed(FRAMES)));
  await end;
  expect(client).toMatchObject({ text: TEXT, status: "done", outcome: "completed", code: null });
  expect(seen).toEqual(["streaming", "done"]);
});

test("cut after any event, the text is whole and nothing is asked twice", async () => {
  for (let cut = 1; cut < FRAMES.length; cut += 1) {
    const server = new ScriptedServer(body(FRAMES.slice(0, cut)), resumed(FRAMES));
    const { client, end } = follow(server);
    await end;
    expect(client.text).toBe(TEXT);
    expect(server.asked).toEqual([0, cut]);
  }
});

test("half an event is not taken; it comes again whole", async () => {
  const half = [...FRAMES.slice(0, 5), FRAMES[5].slice(0, -2)];
  const { client, end } = follow(new ScriptedServer(body(half), resumed(FRAMES)));
  await end;
  expect(client.text).toBe(TEXT);
});

test("duplicates are dropped", async () => {
  const twice = [...FRAMES.slice(0, 6), ...FRAMES.slice(2, 6), ...FRAMES.slice(6)];
  const { client, end } = follow(new ScriptedServer(body(twice)));
  await end;
  expect(client.text).toBe(TEXT);
});

test("a gap among live events is filled from the cursor", async () => {
  const gap = [...FRAMES.slice(0, 5), ...FRAMES.slice(6)];
  const server = new ScriptedServer(body(gap), resumed(FRAMES));
  const { client, end } = follow(server);
  await end;
  expect(client.text).toBe(TEXT);
  expect(server.asked).toEqual([0, 5]);
});

test("a gap after a resume is filled, too", async () => {
  const server = new ScriptedServer(
    body(FRAMES.slice(0, 4)),
    body(FRAMES.slice(5)),
    resumed(FRAMES),
  );
  const { client, clock, end } = follow(server);
  await napping(clock);
  clock.advance(500);
  await end;
  expect(client.text).toBe(TEXT);
  expect(server.asked).toEqual([0, 4, 4]);
});

test("a compacted replay is no gap", async () => {
  const compacted = [
    FRAMES[0],
    FRAMES[2],
    frame(6, { type: "text-delta", id: "t1", delta: PIECES.slice(0, 3).join("") }),
  ];
  const { client, end } = follow(new ScriptedServer(body([...compacted, ...FRAMES.slice(6)])));
  await end;
  expect(client).toMatchObject({ text: TEXT, cursor: FRAMES.length });
});

test("a failure is an outcome, never text", async () => {
  const failed = [
    ...FRAMES.slice(0, 5),
    frame(6, { type: "error", errorText: "boom", code: "provider_unavailable" }),
    frame(7, { type: "finish", messageMetadata: { outcome: "failed" } }),
  ];
  const { client, end } = follow(new ScriptedServer(body(failed)));
  await end;
  expect(client).toMatchObject({ text: "Hello ", status: "failed", code: "provider_unavailable" });
});

test("an answer that was stopped says so", async () => {
  const { client, end } = follow(
    new ScriptedServer(body(answerFrames(["a"], { outcome: "stopped" }))),
  );
  await end;
  expect(client).toMatchObject({ text: "a", status: "stopped" });
});

test("after three tries without progress it is disconnected until it is woken", async () => {
  const server = new ScriptedServer(refused, refused, refused, refused, resumed(FRAMES));
  const { client, clock, end } = follow(server);
  const waits = [];
  for (let tries = 0; tries < 3; tries += 1) {
    await napping(clock);
    waits.push(clock.waits[0]);
    clock.advance(clock.waits[0]);
  }
  await until(() => client.status === "disconnected");
  client.wake();
  await end;
  expect(waits).toEqual([500, 1_000, 2_000]);
  expect(client).toMatchObject({ text: TEXT, status: "done" });
});

test("a page that comes back does not wait any longer", async () => {
  const { client, clock, end } = follow(new ScriptedServer(refused, resumed(FRAMES)));
  await napping(clock);
  client.wake();
  await end;
  expect(client.text).toBe(TEXT);
});

test("the server's Retry-After is respected", async () => {
  const server = new ScriptedServer(status(503, { "retry-after": "7" }), resumed(FRAMES));
  const { client, clock, end } = follow(server);
  await napping(clock);
  expect(clock.waits).toEqual([7_000]);
  clock.advance(7_000);
  await end;
  expect(client.text).toBe(TEXT);
});

test("a connection that falls silent is replaced", async () => {
  const server = new ScriptedServer(silentAfter(FRAMES.slice(0, 5)), resumed(FRAMES));
  const { client, clock, end } = follow(server);
  await until(() => client.cursor === 5);
  clock.advance(STALL_MS - 1);
  expect(server.asked).toEqual([0]);
  clock.advance(1);
  await end;
  expect(client.text).toBe(TEXT);
  expect(server.asked).toEqual([0, 5]);
});

test("a stream whose first bytes never come is polled", async () => {
  const server = new ScriptedServer(
    silentAfter([]),
    body(FRAMES.slice(0, 5)),
    body([]),
    resumed(FRAMES),
  );
  const { client, clock, seen, end } = follow(server, { firstBytesMs: 10_000 });
  await until(() => server.asked.length === 1);
  clock.advance(10_000);
  await napping(clock);
  clock.advance(500);
  await napping(clock); // an empty answer that comes at once counts as a failure
  clock.advance(500);
  await end;
  expect(client.text).toBe(TEXT);
  expect(server.asked).toEqual([0, 0, 5, 5]);
  expect(server.waits).toEqual([null, 20, 20, 20]);
  expect(seen).toEqual(["streaming", "reconnecting", "streaming", "reconnecting", "streaming", "done"]);
});

test("a page that comes back does not trust a silent connection", async () => {
  const server = new ScriptedServer(silentAfter(FRAMES.slice(0, 5)), resumed(FRAMES));
  const { client, clock, end } = follow(server);
  await until(() => client.cursor === 5);
  clock.advance(STALL_MS / 2);
  client.wake();
  await end;
  expect(client.text).toBe(TEXT);
});

test("a server that announces its heartbeat is given up when two are late", async () => {
  const silent = silentAfter(FRAMES.slice(0, 5), { headers: { "x-heartbeat": "2" } });
  const server = new ScriptedServer(silent, resumed(FRAMES));
  const { client, clock, end } = follow(server, { stallMs: undefined });
  await until(() => client.cursor === 5);
  clock.advance(3_999);
  expect(server.asked).toEqual([0]);
  clock.advance(1);
  await end;
  expect(server.asked).toEqual([0, 5]);
});

test("another stream of the same chat is never mixed in", async () => {
  const named = (id) => ({ headers: { "x-stream-id": id } });
  const server = new ScriptedServer(
    body(FRAMES.slice(0, 5), named("s1")),
    body(answerFrames(["other"]), named("s2")),
  );
  const { client, end } = follow(server, { streamId: "s1" });
  await end;
  expect(client).toMatchObject({ text: "Hello ", status: "done", outcome: null, code: "superseded" });
});

test("a refusal is not retried by itself, and is not the end", async () => {
  const server = new ScriptedServer(body(FRAMES.slice(0, 5)), status(404), status(404), resumed(FRAMES));
  const { client, clock, seen, end } = follow(server);
  await until(() => client.status === "disconnected");
  expect(client).toMatchObject({ text: "Hello ", settled: false, code: "http_404", reports: 1 });
  expect(clock.waits).toEqual([]);
  client.wake();
  await until(() => client.reports === 2);
  await until(() => client.status === "disconnected");
  client.wake();
  await end;
  expect(client).toMatchObject({ text: TEXT, status: "done", code: null });
  expect(seen).toEqual([
    ...["streaming", "reconnecting", "disconnected", "reconnecting", "disconnected"],
    ...["reconnecting", "streaming", "done"],
  ]);
});

test("a cursor that the server no longer accepts starts the text over", async () => {
  const server = new ScriptedServer(body(FRAMES.slice(0, 5)), status(410), resumed(FRAMES));
  const { client, clock, end } = follow(server);
  await napping(clock);
  clock.advance(500);
  await end;
  expect(client).toMatchObject({ text: TEXT, status: "done" });
  expect(server.asked).toEqual([0, 5, 0]);
});

test("an event that cannot be read is asked for again", async () => {
  const garbled = [...FRAMES.slice(0, 5), "id: 6\ndata: {\n\n", ...FRAMES.slice(6)];
  const server = new ScriptedServer(body(garbled), resumed(FRAMES));
  const { client, end } = follow(server);
  await end;
  expect(client.text).toBe(TEXT);
  expect(server.asked).toEqual([0, 5]);
});

test("a stored message in place of the events is taken whole", async () => {
  const message = JSON.stringify({
    id: "m1",
    role: "assistant",
    parts: [{ type: "reasoning", text: "Hm." }, { type: "text", text: TEXT }],
    metadata: { status: "stopped", reasoning_ms: 1_234 },
  });
  const { client, end } = follow(
    new ScriptedServer(body([`data: ${JSON.stringify({ type: "data-appendMessage", data: message })}\n\n`])),
  );
  await end;
  expect(client).toMatchObject({ text: TEXT, reasoning: "Hm.", thoughtMs: 1_234, status: "stopped" });
});

test("close ends following and drops the connection", async () => {
  const server = new ScriptedServer(silentAfter(FRAMES.slice(0, 5)));
  const { client, end } = follow(server);
  await until(() => client.cursor === 5);
  client.close();
  await end;
  expect(client.settled).toBe(false);
  expect(server.asked).toEqual([0]);
});

test("how long the model thought is known before its answer begins", async () => {
  const events = [
    { type: "start", messageId: "m1" },
    { type: "reasoning-start", id: "1" },
    { type: "reasoning-delta", id: "1", delta: "Hm." },
    { type: "reasoning-end", id: "1" },
    { type: "message-metadata", messageMetadata: { reasoning_ms: 1_234 } },
    { type: "text-start", id: "2" },
    { type: "text-delta", id: "2", delta: "So." },
    { type: "message-metadata", messageMetadata: { duration_ms: 2_000 } },
    { type: "finish", messageMetadata: { outcome: "completed" } },
  ];
  const frames = events.map((event, index) => frame(index + 1, event));
  const known = [];

  const { client, end } = follow(new ScriptedServer(...frames.map((_, i) => body([frames[i]]))), {
    onChange: ({ text, thoughtMs }) => known.push([text, thoughtMs]),
  });
  await end;

  expect(client.thoughtMs).toBe(1_234);
  expect(known).toContainEqual(["", 1_234]);
});
