r"""One event ⇄ one SSE frame.

An event is a JSON object of the AI SDK's UI message stream protocol, version 1
(https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol). Its frame is

    id: 17\ndata: {"type":"text-delta","id":"1","delta":"Hello"}\n\n

with the event's offset as the `id`, so that a plain `EventSource` resumes by itself. The JSON never
contains a raw line break, so a blank line always ends a frame. An event is encoded once, when it is
written; everything downstream forwards bytes.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from json.encoder import encode_basestring
from typing import Any

DONE = b"data: [DONE]\n\n"
"""Sent after the last event of a closed stream; never stored."""

HEARTBEAT = b": keep-alive\n\n"
"""An SSE comment: not an event to consumers, but traffic to every proxy."""

_DELTA = b'"delta":"'
_END = b'"}\n\n'
_MORE = b'","'  # starts another field: inside a text, quotes are escaped
_QUOTES = 8  # in a plain delta before `_DELTA`: around the keys and values of type and id
_HEADS = (b'data: {"type":"text-delta","id":"', b'data: {"type":"reasoning-delta","id":"')


def event_json(event: Mapping[str, Any]) -> bytes:
    """Encode an event without the fields that are None, as the protocol requires."""
    present = {key: value for key, value in event.items() if value is not None}
    return json.dumps(present, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def encode(offset: int, event: bytes) -> bytes:
    """Frame the encoded event at `offset`."""
    return b"id: %d\ndata: %b\n\n" % (offset, event)


def encode_delta(offset: int, kind: str, part_id: str, text: str) -> bytes:
    """Frame a delta, ten times faster than with `json`: deltas are nearly all of a stream."""
    delta = encode_basestring(text)
    return f'id: {offset}\ndata: {{"type":"{kind}","id":"{part_id}","delta":{delta}}}\n\n'.encode(
        errors="replace"  # a lone surrogate has no UTF-8; one bad character must not end a stream
    )


def split(data: bytes) -> list[bytes]:
    """Split joined frames."""
    return [frame + b"\n\n" for frame in data.split(b"\n\n")[:-1]]


def offset_of(frame: bytes) -> int:
    """Return the offset that a frame carries."""
    return int(frame[4 : frame.index(b"\n")])


def decode(frame: bytes) -> tuple[int, dict[str, Any]]:
    """Decode a frame into its offset and its event."""
    head, _, body = frame.partition(b"\ndata: ")
    return int(head.removeprefix(b"id: ")), json.loads(body)


def compact(frames: Iterable[bytes]) -> Iterator[bytes]:
    """Merge neighbouring deltas of one part, each run under the offset of its last event.

    The message stays the same, for a fraction of the bytes and of the client's work. Joining
    escaped JSON strings gives the joined string, escaped, so nothing has to be parsed.
    """
    lead, last = b"", b""  # what the run's frames share before their text; its newest id line
    texts: list[bytes] = []
    for frame in frames:
        begin = frame.index(b"\n") + 1
        if texts and frame.startswith(lead, begin):
            text = frame[begin + len(lead) : -len(_END)]
            if _MORE not in text:
                texts.append(text)
                last = frame[:begin]
                continue
        if texts:
            yield b"%b%b%b%b" % (last, lead, b"".join(texts), _END)
        lead = _lead(frame[begin:])
        if lead:
            texts, last = [frame[begin + len(lead) : -len(_END)]], frame[:begin]
        else:
            texts = []
            yield frame
    if texts:
        yield b"%b%b%b%b" % (last, lead, b"".join(texts), _END)


def _lead(body: bytes) -> bytes:
    """Return what precedes the text of a plain delta; empty for any other event.

    A plain delta is one made by `encode_delta`, with no other field before or after the text.
    """
    head, delta, text = body.partition(_DELTA)
    if head.startswith(_HEADS) and head.count(b'"') == _QUOTES and _MORE not in text:
        return head + delta
    return b""
