/**
 * The AI SDK's own `Chat` and `DefaultChatTransport`, driven by lines of JSON.
 *
 * Each line of standard input is `[chat, method, ...arguments]`; the answer is `[result]` or
 * `[null, error]`. `open` creates the chat; the other methods are those of `Script` below. Every
 * wait is bounded.
 */
import { createInterface } from "node:readline";

import { Chat } from "@ai-sdk/react";
import { asSchema, DefaultChatTransport, uiMessageChunkSchema } from "ai";

import { createResumableFetch } from "../../assets/resumable-fetch.js";

const TOO_LONG_MS = 20_000;
const chunkSchema = asSchema(uiMessageChunkSchema);

/** The unmodified transport, which records the chunks it reads from the server. */
class RecordingTransport extends DefaultChatTransport {
  chunks = [];

  processResponseStream(stream) {
    const { chunks } = this;
    return super.processResponseStream(stream).pipeThrough(
      new TransformStream({
        async transform(chunk, controller) {
          const { success } = await chunkSchema.validate(chunk);
          chunks.push(success ? chunk.type : `invalid: ${JSON.stringify(chunk)}`);
          controller.enqueue(chunk);
        },
      }),
    );
  }
}

/** One chat on one page. */
class Script {
  #chat;
  #transport;
  #data = [];

  constructor(id, { server, cookie, messages = [], resumable = false }) {
    this.#transport = new RecordingTransport({
      api: `${server}/api/chat`,
      headers: { cookie }, // outside a browser there is no cookie jar
      ...(resumable && { fetch: createResumableFetch() }),
    });
    this.#chat = new Chat({
      id,
      messages,
      transport: this.#transport,
      onData: (part) => this.#data.push(part),
    });
  }

  /** Starts sending a prompt; without text, starts continuing the last message. */
  send(text) {
    this.#leave(this.#chat.sendMessage(text === undefined ? undefined : { text }));
  }

  /** Starts sending an edited version of an earlier prompt. */
  edit(messageId, text) {
    this.#leave(this.#chat.sendMessage({ text, messageId }));
  }

  regenerate(messageId) {
    this.#leave(this.#chat.regenerate(messageId ? { messageId } : undefined));
  }

  /** Starts resuming, as a freshly loaded page does. */
  resume() {
    this.#leave(this.#chat.resumeStream());
  }

  /** Stops reading without telling the server. */
  leave() {
    return this.#chat.stop();
  }

  /** Whether the transport finds anything to reconnect to. */
  async reconnects() {
    const stream = await this.#transport.reconnectToStream({ chatId: this.#chat.id });
    await stream?.cancel();
    return stream !== null;
  }

  state() {
    const { messages, status, error } = this.#chat;
    return {
      messages,
      status,
      error: error ? error.message : null,
      chunks: this.#transport.chunks,
      data: this.#data,
    };
  }

  /** Waits until the last message is a reply with exactly this text so far. */
  reads(text) {
    return this.#until(() => {
      const last = this.#chat.messages.at(-1);
      return last?.role === "assistant" && textOf(last) === text;
    });
  }

  /** Waits for `status`. */
  is(status) {
    return this.#until(() => this.#chat.status === status);
  }

  /** Ignores a rejection: the chat keeps the error, and `state` reports it. */
  #leave(promise) {
    promise.catch(() => {});
  }

  #until(holds) {
    return new Promise((resolve, reject) => {
      const look = () => holds() && end(resolve);
      const unsubscribe = ["Messages", "Status", "Error"].map((kind) =>
        this.#chat[`~register${kind}Callback`](look),
      );
      const timer = setTimeout(
        () => end(() => reject(new Error(`never came true: ${JSON.stringify(this.state())}`))),
        TOO_LONG_MS,
      );
      const end = (settle) => {
        clearTimeout(timer);
        for (const leave of unsubscribe) leave();
        settle();
      };
      look();
    });
  }
}

function textOf(message) {
  return message.parts.map((part) => (part.type === "text" ? part.text : "")).join("");
}

const chats = new Map();

async function carryOut(chat, method, args) {
  if (method !== "open") return chats.get(chat)[method](...args);
  chats.set(chat, new Script(...args));
  return null;
}

for await (const line of createInterface({ input: process.stdin })) {
  const [chat, method, ...args] = JSON.parse(line);
  const answer = await carryOut(chat, method, args).then(
    (result) => [result ?? null],
    (error) => [null, `${error.stack ?? error}`],
  );
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
