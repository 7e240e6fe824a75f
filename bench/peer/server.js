// The peer under test: npm resumable-stream behind node:http. Same routes as bench/server.py.
//
// Lean: one context per process over two `redis` clients, strings straight to the response.
// As documented (?documented): the POST handler of the AI SDK's guide. A transform encodes the
// events and the stream is split in two: one half goes through a TextEncoderStream to the
// response, the other to a context made for this request, with its own clients.

import { createServer } from "node:http";
import { createClient } from "redis";
import { createResumableStreamContext } from "resumable-stream";
import { Source, briefFrameOf, eventOf, frameOf } from "./source.js";

const DONE = "data: [DONE]\n\n";
const HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-cache",
  "x-accel-buffering": "no",
  "x-vercel-ai-ui-message-stream": "v1",
};

const waitUntil = (promise) => promise;
const publisher = createClient({ url: process.env.REDIS_URL });
const subscriber = createClient({ url: process.env.REDIS_URL });
await Promise.all([publisher.connect(), subscriber.connect()]);
const context = createResumableStreamContext({ waitUntil, publisher, subscriber });

const sources = new Map();
const detached = []; // streams without a reader; the package drains its source by itself

async function send(response, stream) {
  response.writeHead(200, HEADERS);
  response.flushHeaders();
  for await (const chunk of stream) {
    if (response.destroyed) break;
    if (!response.write(chunk)) await new Promise((resolve) => response.once("drain", resolve).once("close", resolve));
  }
  response.end();
}

function sourceOf(query, make) {
  const number = (name, fallback) => Number(query.get(name) ?? fallback);
  const source = new Source({
    count: number("n", 1),
    rate: number("rate", 0),
    seconds: number("seconds", 0),
    make,
  });
  if (!query.has("hold")) source.start();
  if (!query.has("linger")) source.finish();
  return source;
}

async function produce(id, query, response) {
  const source = sourceOf(query, query.has("brief") ? briefFrameOf : frameOf);
  sources.set(id, source);
  const stream = await context.createNewResumableStream(id, () => source.stream(DONE));
  if (!query.has("detached")) return send(response, stream);
  detached.push(stream);
  return response.writeHead(202).end();
}

async function produceAsDocumented(id, query, response) {
  const source = sourceOf(query, eventOf);
  sources.set(id, source);
  const toFrames = new TransformStream({
    transform: (event, controller) => controller.enqueue(`data: ${JSON.stringify(event)}\n\n`),
    flush: (controller) => controller.enqueue(DONE),
  });
  const [shown, kept] = source.stream(undefined).pipeThrough(toFrames).tee();
  const own = createResumableStreamContext({ waitUntil });
  own.createNewResumableStream(id, () => kept);
  return send(response, shown.pipeThrough(new TextEncoderStream()));
}

async function resume(id, response) {
  const stream = await context.resumeExistingStream(id);
  if (!stream) return response.writeHead(stream === null ? 204 : 404).end();
  return send(response, stream);
}

function tell(id, response) {
  const { produced, elapsed } = sources.get(id);
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify({ produced, elapsed_us: elapsed }));
}

async function route(request, response) {
  const url = new URL(request.url, "http://peer");
  const [, verb, id] = url.pathname.split("/");
  const post = request.method === "POST";
  if (verb === "s" && post && url.searchParams.has("documented")) return produceAsDocumented(id, url.searchParams, response);
  if (verb === "s" && post) return produce(id, url.searchParams, response);
  if (verb === "s") return resume(id, response);
  if (verb === "stats") return tell(id, response);
  if (verb === "go") sources.get(id).start();
  if (verb === "end") sources.get(id).finish();
  return response.writeHead(204).end();
}

createServer((request, response) => {
  route(request, response).catch((error) => {
    console.error(error);
    if (!response.headersSent) response.writeHead(500);
    response.end();
  });
}).listen({ port: Number(process.env.PORT), host: "127.0.0.1", backlog: 2048 });
