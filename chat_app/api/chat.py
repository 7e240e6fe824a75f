"""The resumable chat stream: send, resume, stop."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from starlette.responses import JSONResponse

from chat_app.api.delivery import CursorSent, WaitSent, deliver
from chat_app.api.forms import ChatRequest, Id
from chat_app.api.services import Api, api
from chat_app.api.session import Caller
from chat_app.errors import InvalidRequest, OffsetExpired, StreamNotFound

router = APIRouter()

Parts = Annotated[Api, Depends(api)]


@router.post("/api/chat")
async def send(request: ChatRequest, caller: Caller, api: Parts, wait: WaitSent) -> Response:
    """Accept a prompt and answer with the reply's stream, from its first event."""
    prompt = request.prompt
    if request.action != "send" or prompt is None:
        raise InvalidRequest("only prompts are accepted so far")
    turn = await api.turns.send(caller, chat_id=request.id, message_id=prompt.id, text=prompt.text)
    return deliver(await api.turns.follow(caller, turn), api, wait=wait)


@router.get("/api/chat")
async def resume(
    caller: Caller,
    api: Parts,
    cursor: CursorSent,
    wait: WaitSent,
    chat_id: Annotated[Id, Query(alias="chatId")],
) -> Response:
    """Go on with the chat's newest stream: replay behind the cursor, then live to the end."""
    resumed = await api.turns.resume(caller, chat_id, after=cursor.after)
    if resumed is None:
        raise StreamNotFound("nothing was asked in this chat yet")
    return deliver(resumed, api, cursor=cursor, wait=wait)


@router.get("/api/chat/{chat_id}/stream")
async def resume_open(
    chat_id: Id, caller: Caller, api: Parts, cursor: CursorSent, wait: WaitSent
) -> Response:
    """The AI SDK's way to resume: from the beginning, and 204 when nothing is being answered."""
    resumed = await api.turns.resume(caller, chat_id, after=cursor.after)
    if resumed is None or (resumed.follower is None and cursor.after is None):
        return Response(status_code=204)
    if resumed.follower is None:
        raise OffsetExpired("the log of this answer is gone; read the message from its chat")
    return deliver(resumed, api, cursor=cursor, wait=wait)


@router.post("/api/chat/{chat_id}/stop")
async def stop(chat_id: Id, caller: Caller, api: Parts) -> Response:
    """End the answer and keep what there is. 204 when nothing is being answered."""
    stopping = await api.turns.stop(caller, chat_id)
    if stopping is None:
        return Response(status_code=204)
    body = {"stream_id": stopping.stream_id, "cursor": stopping.cursor}
    return JSONResponse(body, status_code=202)
