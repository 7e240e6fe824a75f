import { expect, test } from "bun:test";

import { EventReader } from "../../../assets/resumable-fetch.js";

const WIRE =
  ": heartbeat\r\n\r\nid: 1\r\ndata: {\"a\":\"日本 🎉\"}\r\n\r\nid: 2\nevent: x\ndata: one\ndata:two\n\ndata: [DONE]\n\n";
const EVENTS = [
  { id: "1", data: '{"a":"日本 🎉"}' },
  { id: "2", data: "one\ntwo" },
  { id: null, data: "[DONE]" },
];

test("cut at any byte, the same events come out", () => {
  const bytes = new TextEncoder().encode(WIRE);
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    const reader = new EventReader();
    const events = [...reader.push(bytes.slice(0, cut)), ...reader.push(bytes.slice(cut))];
    expect(events).toEqual(EVENTS);
  }
});

test("byte by byte, the same events come out", () => {
  const reader = new EventReader();
  const events = [...new TextEncoder().encode(WIRE)].flatMap((byte) => reader.push(Uint8Array.of(byte)));
  expect(events).toEqual(EVENTS);
});

test("an event without its blank line is not given out", () => {
  const events = new EventReader().push(new TextEncoder().encode("id: 1\ndata: half\n"));
  expect(events).toEqual([]);
});
