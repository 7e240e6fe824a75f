"""Responds with what follows a cursor: live, polled, as the stored message, or nothing."""

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Header, Query, Response

from chat_app.api import sse
from chat_app.api.long_poll import LongPoll
from chat_app.api.services import Api
from chat_app.api.session import Caller, Parts
from chat_app.chats.models import Message
from chat_app.errors import InvalidOffset
from chat_app.streams import frame
from chat_app.streams.model import StreamId
from chat_app.turns import Resumed

LONGEST_WAIT = 60
"""Seconds; most proxies cut longer requests."""

_END = "end"
_MARK_END = b"id: end\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far a client has got.

    Attributes:
        after: The offset of the last event it has; None if it has none and wants the message.
        at_end: It was sent the whole message, so it has everything from the stream that made it.
        stream_id: The stream of that event; None if the client does not say.
    """

    after: int | None = None
    at_end: bool = False
    stream_id: StreamId | None = None


def _cursor(
    after: Annotated[
        str | None,
        Query(description="The cursor: the `id` of the last event received; 0 for all events."),
    ] = None,
    last_event_id: Annotated[
        str | None,
        Header(
            description=(
                "The same, as sent by a reconnecting `EventSource`; takes precedence over `after`."
            )
        ),
    ] = None,
    stream_id: Annotated[
        str | None,
        Query(
            alias="streamId",
            description=(
                "The stream the cursor belongs to; for any other stream the cursor is ignored."
            ),
        ),
    ] = None,
) -> Cursor:
    text = last_event_id or after
    if not text:
        return Cursor()
    if text == _END:
        return Cursor(at_end=True)
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise InvalidOffset("a cursor is the id of an event: 0, 1, 2, …")
    return Cursor(after=int(text), stream_id=StreamId(stream_id) if stream_id else None)


def _wait(
    wait: Annotated[
        float | None,
        Query(
            ge=0,
            le=LONGEST_WAIT,
            allow_inf_nan=False,
            description=(
                "Long poll: end the body after the first events, or after this many seconds."
            ),
        ),
    ] = None,
) -> timedelta | None:
    return None if wait is None else timedelta(seconds=wait)


GzipParam = Annotated[bool, Query(alias="gzip", description="Compress live events with gzip.")]


async def _viewer_slot(caller: Caller, api: Parts) -> AsyncGenerator[None]:
    with api.viewers.slot(caller):
        yield


VIEWER_SLOT = [Depends(_viewer_slot)]
"""The `dependencies` of a route that lets a viewer follow an answer."""

CursorParam = Annotated[Cursor, Depends(_cursor)]
WaitParam = Annotated[timedelta | None, Depends(_wait)]


def deliver(
    resumed: Resumed,
    api: Api,
    *,
    cursor: Cursor | None = None,
    wait: timedelta | None = None,
    gzip: bool = False,
) -> Response:
    """Answer with what follows the cursor.

    Args:
        resumed: The chat's stream, from where the client continues.
        api: The parts behind the routes.
        cursor: What a returning client already has. If that is everything, it gets status 204,
            which says that nothing will follow: an `EventSource` then stops for good.
        wait: Answer with a whole body within this time.
        gzip: Compress live events as they are sent.
    """
    headers = {"x-stream-id": resumed.stream_id}
    follower = resumed.follower
    if cursor is not None and _has_all(resumed, cursor):
        return Response(status_code=204, headers={**sse.HEADERS, **headers})
    if follower is None:
        events = b"" if resumed.reply is None else _append_message(resumed.reply)
        return Response(events + _MARK_END + frame.DONE, headers={**sse.HEADERS, **headers})
    if wait is not None:
        return LongPoll(follower, wait=wait, headers=headers, viewers=api.viewers)
    return sse.EventStream(
        follower,
        heartbeat=api.heartbeat,
        # So that a client knows how long a silence means a dead connection.
        headers={**headers, "x-heartbeat": f"{api.heartbeat.total_seconds():g}"},
        viewers=api.viewers,
        lifetime=api.lifetime,
        gzip=gzip,
    )


def _has_all(resumed: Resumed, cursor: Cursor) -> bool:
    if resumed.follower is None:
        return cursor.at_end
    of_this_stream = cursor.stream_id in {None, resumed.stream_id}
    return cursor.after is not None and of_this_stream and resumed.follower.ended


def _append_message(reply: Message) -> bytes:
    """A finished reply as one event, for a client that asked for the chat's newest message.

    It has no offset: the log, with all offsets, may be gone. An id without an event follows it. An
    `EventSource` keeps that id, comes back with it after the end, and is told to stop.
    """
    message = {
        "id": reply.id,
        "role": reply.role,
        "parts": list(reply.parts),
        "metadata": {"status": reply.status, **reply.meta},
    }
    event = {"type": "data-appendMessage", "data": json.dumps(message), "transient": True}
    return b"data: %b\n\n" % frame.event_json(event)
