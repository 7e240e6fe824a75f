"""The chats themselves: list, read, change, delete, export. Enough for another front end."""

from datetime import datetime
from typing import Annotated, Any, Self

from fastapi import APIRouter, Query, Response
from pydantic import AliasGenerator, BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

from chat_app.api.contract import refusals
from chat_app.api.export import FILE_RESPONSE, Format, as_file, markdown
from chat_app.api.forms import Id
from chat_app.api.session import Caller, CallerRoute, Parts
from chat_app.chats.models import Chat, ChatId, Message, MessageStatus, Role
from chat_app.errors import ChatNotFound, InvalidRequest, LogUnavailable, TurnInProgress

router = APIRouter(route_class=CallerRoute)


class _Shape(BaseModel):
    model_config = ConfigDict(
        alias_generator=AliasGenerator(alias=to_camel), populate_by_name=True, from_attributes=True
    )


class ChatLine(_Shape):
    """A chat as a line of the list; `answering` tells whether a stream is open in it."""

    id: str
    title: str
    created_at: datetime
    updated_at: datetime
    answering: bool


class ChatLines(_Shape):
    """A page of the list; `next` is the `before` for the next page, null on the last one."""

    chats: list[ChatLine]
    next: str | None


class ChatMessage(_Shape):
    """A message in the AI SDK's form, with its place in the tree."""

    id: str
    role: Role
    parts: list[dict[str, Any]]
    metadata: dict[str, Any]
    status: MessageStatus
    parent_id: str | None
    created_at: datetime

    @classmethod
    def of(cls, message: Message) -> Self:
        """`message` as it is sent."""
        return cls(
            id=message.id,
            role=message.role,
            parts=list(message.parts),
            metadata={"status": message.status, **message.meta},
            status=message.status,
            parent_id=message.parent_id,
            created_at=message.created_at,
        )


class WholeChat(_Shape):
    """A chat with all its messages, which form a tree.

    `activePath` lists the ids of the branch that is shown, from its beginning; `openStreamId` is
    the stream of the answer in progress, if there is one.
    """

    id: str
    title: str
    created_at: datetime
    updated_at: datetime
    active_message_id: str | None
    active_path: list[str]
    open_stream_id: str | None
    messages: list[ChatMessage]

    @classmethod
    def of(cls, chat: Chat) -> Self:
        """`chat` as it is sent."""
        return cls(
            id=chat.id,
            title=chat.title,
            created_at=chat.created_at,
            updated_at=chat.updated_at,
            active_message_id=chat.active_message_id,
            active_path=[message.id for message in chat.active_path],
            open_stream_id=None if chat.open_stream is None else chat.open_stream.id,
            messages=[ChatMessage.of(message) for message in chat.messages],
        )


class ChatChange(_Shape):
    """Another title, another branch to show, or both."""

    title: str | None = None
    active_message_id: Id | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.title is None and self.active_message_id is None:
            msg = "title or activeMessageId is required"
            raise ValueError(msg)
        return self


@router.get("/api/chats", responses=refusals(InvalidRequest, query=True))
async def list_chats(
    caller: Caller,
    api: Parts,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    before: Annotated[str | None, Query(description="The `next` of the previous page.")] = None,
) -> ChatLines:
    """The caller's chats, latest turn first."""
    return ChatLines.model_validate(
        await api.chats.list_chats(caller, limit=limit, before=before or None)
    )


@router.get("/api/chats/{chat_id}", responses=refusals(ChatNotFound, path=True))
async def read_chat(chat_id: Id, caller: Caller, api: Parts) -> WholeChat:
    """A chat with all its messages."""
    return WholeChat.of(await api.chats.read_chat(caller, ChatId(chat_id)))


@router.patch(
    "/api/chats/{chat_id}",
    responses=refusals(ChatNotFound, TurnInProgress, body=True, path=True, write=True),
)
async def change_chat(chat_id: Id, change: ChatChange, caller: Caller, api: Parts) -> WholeChat:
    """Rename a chat, or show the branch through a message, up to its newest message."""
    await api.upkeep.change(
        caller, chat_id=chat_id, title=change.title, message_id=change.active_message_id
    )
    return WholeChat.of(await api.chats.read_chat(caller, ChatId(chat_id)))


@router.delete(
    "/api/chats/{chat_id}",
    status_code=204,
    responses=refusals(ChatNotFound, LogUnavailable, path=True, write=True),
)
async def delete_chat(chat_id: Id, caller: Caller, api: Parts) -> None:
    """Delete a chat with everything in it; an answer in progress is stopped."""
    await api.upkeep.delete(caller, chat_id=chat_id)


@router.get(
    "/api/chats/{chat_id}/export",
    response_class=Response,
    responses={**FILE_RESPONSE, **refusals(ChatNotFound, query=True, path=True)},
)
async def export_chat(
    chat_id: Id,
    caller: Caller,
    api: Parts,
    as_format: Annotated[Format, Query(alias="format")] = "markdown",
) -> Response:
    """A chat as a file: the branch that is shown, as Markdown, or the whole chat, as JSON."""
    chat = await api.chats.read_chat(caller, ChatId(chat_id))
    if as_format == "json":
        text = WholeChat.of(chat).model_dump_json(by_alias=True, indent=2)
    else:
        text = markdown(chat)
    return as_file(text, as_format, title=chat.title)
