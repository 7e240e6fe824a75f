/**
 * Incremental reader of a `text/event-stream` body (WHATWG HTML, "Server-sent events").
 *
 * Bytes may be cut anywhere: inside a line, between CR and LF, inside a UTF-8 character.
 * An event that is not ended by a blank line is never given out, as the standard demands:
 * a cut connection cannot deliver half an event.
 */
export class EventReader {
  #decoder = new TextDecoder();
  #rest = "";
  #data = [];
  #id = null;

  /**
   * Takes the next bytes and gives the events they complete.
   * @param {Uint8Array} bytes
   * @returns {{id: string | null, data: string}[]} `id` is null for an event that bears none.
   */
  push(bytes) {
    const text = this.#rest + this.#decoder.decode(bytes, { stream: true });
    const lines = text.split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    const events = [];
    for (const line of lines) {
      const event = this.#takeLine(line);
      if (event) events.push(event);
    }
    return events;
  }

  #takeLine(line) {
    if (line === "") return this.#endEvent();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    if (field === "id") this.#id = value;
    return null;
  }

  #endEvent() {
    const event = this.#data.length ? { id: this.#id, data: this.#data.join("\n") } : null;
    this.#data = [];
    this.#id = null;
    return event;
  }
}
