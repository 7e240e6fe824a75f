"""The resumable chat stream: send, resume, stop."""

import json
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Response
from starlette.responses import JSONResponse

from chat_app.api import sse
from chat_app.api.forms import ChatRequest, Id
from chat_app.api.services import Api, api
from chat_app.api.session import Caller
from chat_app.chats.models import Message
from chat_app.errors import InvalidOffset, InvalidRequest, StreamNotFound
from chat_app.streams import frame
from chat_app.turns import Resumed

router = APIRouter()

Parts = Annotated[Api, Depends(api)]


@router.post("/api/chat")
async def send(request: ChatRequest, caller: Caller, api: Parts) -> Response:
    """Accept a prompt and answer with the reply's stream, from its first event."""
    prompt = request.prompt
    if request.action != "send" or prompt is None:
        raise InvalidRequest("only prompts are accepted so far")
    turn = await api.turns.send(caller, chat_id=request.id, message_id=prompt.id, text=prompt.text)
    return _stream(await api.turns.follow(caller, turn), api)


@router.get("/api/chat")
async def resume(
    caller: Caller,
    api: Parts,
    chat_id: Annotated[Id, Query(alias="chatId")],
    after: Annotated[str | None, Query()] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Go on with the chat's newest stream: replay behind the cursor, then live to the end."""
    resumed = await api.turns.resume(caller, chat_id, after=_cursor(last_event_id, after))
    if resumed is None:
        raise StreamNotFound("nothing was asked in this chat yet")
    return _stream(resumed, api)


@router.get("/api/chat/{chat_id}/stream")
async def resume_open(
    chat_id: Id,
    caller: Caller,
    api: Parts,
    after: Annotated[str | None, Query()] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """The AI SDK's way to resume: 204 when nothing is being answered."""
    resumed = await api.turns.resume(caller, chat_id, after=_cursor(last_event_id, after))
    if resumed is None or resumed.follower is None:
        return Response(status_code=204)
    return _stream(resumed, api)


@router.post("/api/chat/{chat_id}/stop")
async def stop(chat_id: Id, caller: Caller, api: Parts) -> Response:
    """End the answer and keep what there is. 204 when nothing is being answered."""
    stopping = await api.turns.stop(caller, chat_id)
    if stopping is None:
        return Response(status_code=204)
    body = {"stream_id": stopping.stream_id, "cursor": stopping.cursor}
    return JSONResponse(body, status_code=202)


def _stream(resumed: Resumed, api: Api) -> Response:
    headers = {"x-stream-id": resumed.stream_id}
    if resumed.follower is not None:
        return sse.EventStream(
            resumed.follower, heartbeat=api.heartbeat, headers=headers, viewers=api.viewers
        )
    events = b"" if resumed.reply is None else _append_message(resumed.reply)
    return Response(events + frame.DONE, headers={**sse.HEADERS, **headers})


def _append_message(reply: Message) -> bytes:
    """A finished reply as one event, for a client that asked for the chat's newest message.

    It has no offset: a client that keeps it as a cursor would ask for a log that is gone.
    """
    message = {
        "id": reply.id,
        "role": reply.role,
        "parts": list(reply.parts),
        "metadata": {"status": reply.status, **reply.meta},
    }
    event = {"type": "data-appendMessage", "data": json.dumps(message), "transient": True}
    return b"data: %b\n\n" % frame.event_json(event)


def _cursor(last_event_id: str | None, after: str | None) -> int | None:
    """The cursor a client sent; the header of a reconnecting `EventSource` wins over the URL."""
    text = last_event_id or after
    if text is None or text == "":
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise InvalidOffset("a cursor is the id of an event: 0, 1, 2, …")
    return int(text)
