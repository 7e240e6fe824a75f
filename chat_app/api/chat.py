"""The resumable chat stream: list models, send, resume, stop."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from chat_app.api.contract import EVENTS, NO_CONTENT, refusals
from chat_app.api.delivery import VIEWER_SLOT, CursorParam, GzipParam, WaitParam, deliver
from chat_app.api.forms import ChatRequest, Id, Prompt, edit_id
from chat_app.api.services import Api
from chat_app.api.session import Caller, CallerRoute, Parts
from chat_app.chats.models import ChatId, Message, MessageId
from chat_app.errors import (
    ChatNotFound,
    ChatTooLong,
    InvalidOffset,
    LogUnavailable,
    OffsetExpired,
    StreamNotFound,
    TurnInProgress,
)
from chat_app.identity.identity import Identity
from chat_app.turn import Turn

router = APIRouter(route_class=CallerRoute)


class Models(BaseModel):
    """The models that can answer; `default` does, unless a request's `model` names another."""

    models: list[str]
    default: str


@router.get("/api/models", responses=refusals())
async def list_models(api: Parts) -> Models:
    """The models to choose from."""
    return Models(models=list(api.turns.models), default=api.turns.models[0])


@router.post(
    "/api/chat",
    dependencies=VIEWER_SLOT,
    response_class=Response,
    responses={
        **EVENTS,
        **refusals(
            ChatNotFound,
            ChatTooLong,
            LogUnavailable,
            OffsetExpired,
            TurnInProgress,
            query=True,
            body=True,
            write=True,
        ),
    },
)
async def send(request: ChatRequest, caller: Caller, api: Parts, wait: WaitParam) -> Response:
    """Send, edit, regenerate or continue; answers with the reply's stream, from its first event."""
    await api.rates.prompt(caller)
    turn = await _begin(request, caller, api)
    return deliver(await api.turns.follow(caller, turn), api, wait=wait)


async def _begin(request: ChatRequest, caller: Identity, api: Api) -> Turn:
    prompt = request.prompt
    if request.action == "regenerate":
        return await api.turns.regenerate(
            caller, chat_id=request.id, message_id=request.message_id, model=request.model
        )
    if request.action == "continue" or prompt is None:
        return await api.turns.continue_(
            caller, chat_id=request.id, message_id=request.reply_id, model=request.model
        )
    message_id, edited_id = prompt.id, prompt.edited_id
    if message_id == edited_id:  # the AI SDK sends this with any prompt, whether an edit or not
        known = await _known_prompt(prompt, request.id, caller, api)
        if known is None:
            edited_id = None
        elif known.text != prompt.text:
            message_id = edit_id(prompt.id, prompt.text)
    return await api.turns.send(
        caller,
        chat_id=request.id,
        message_id=message_id,
        text=prompt.text,
        edited_id=edited_id,
        model=request.model,
    )


async def _known_prompt(prompt: Prompt, chat_id: str, caller: Identity, api: Api) -> Message | None:
    try:
        return await api.chats.read_message(caller, ChatId(chat_id), MessageId(prompt.id))
    except ChatNotFound:
        return None


@router.get(
    "/api/chat",
    dependencies=VIEWER_SLOT,
    response_class=Response,
    responses={
        **EVENTS,
        **NO_CONTENT,
        **refusals(
            ChatNotFound, InvalidOffset, LogUnavailable, OffsetExpired, StreamNotFound, query=True
        ),
    },
)
async def resume(
    caller: Caller,
    api: Parts,
    cursor: CursorParam,
    wait: WaitParam,
    chat_id: Annotated[Id, Query(alias="chatId")],
    gzip: GzipParam = False,
) -> Response:
    """Resume the chat's newest stream: replay what follows the cursor, then live to the end."""
    resumed = await api.turns.resume(
        caller, chat_id, after=cursor.after, stream_id=cursor.stream_id
    )
    if resumed is None:
        raise StreamNotFound("nothing has been asked in this chat yet")
    return deliver(resumed, api, cursor=cursor, wait=wait, gzip=gzip)


@router.get(
    "/api/chat/{chat_id}/stream",
    dependencies=VIEWER_SLOT,
    response_class=Response,
    responses={
        **EVENTS,
        **NO_CONTENT,
        **refusals(
            ChatNotFound, InvalidOffset, LogUnavailable, OffsetExpired, query=True, path=True
        ),
    },
)
async def resume_open(
    chat_id: Id, caller: Caller, api: Parts, cursor: CursorParam, wait: WaitParam
) -> Response:
    """Resume the AI SDK's way: from the beginning, and 204 when no answer is in progress."""
    try:
        resumed = await api.turns.resume(
            caller, chat_id, after=cursor.after, stream_id=cursor.stream_id
        )
    except ChatNotFound:
        if cursor.after is not None:
            raise
        # A chat exists from its first prompt on, and its page asks before that.
        return Response(status_code=204)
    if resumed is None or (resumed.follower is None and cursor.after is None):
        return Response(status_code=204)
    if resumed.follower is None:
        raise OffsetExpired("the log of this answer is gone; read the message from its chat")
    return deliver(resumed, api, cursor=cursor, wait=wait)


class Stopping(BaseModel):
    """A stop on its way to the producer; `cursor` is the newest offset when it was requested."""

    stream_id: str
    cursor: int


@router.post(
    "/api/chat/{chat_id}/stop",
    status_code=202,
    response_model=Stopping,
    responses={**NO_CONTENT, **refusals(ChatNotFound, LogUnavailable, path=True, write=True)},
)
async def stop(chat_id: Id, caller: Caller, api: Parts) -> Stopping | Response:
    """Stop the answer and keep what there is of it. 204 when no answer is in progress."""
    stopping = await api.turns.stop(caller, chat_id)
    if stopping is None:
        return Response(status_code=204)
    return Stopping(stream_id=stopping.stream_id, cursor=stopping.cursor)
