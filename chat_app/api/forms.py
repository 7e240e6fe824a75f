"""The two forms of a request to `POST /api/chat`: a short one, and the AI SDK's.

    short     {id, message, trigger?, messageId?, model?}
    AI SDK    {id, messages, trigger, messageId?, model?}   as `DefaultChatTransport` sends it

Only the last of `messages` is read, and only its id, role and text: what was said before is what
the server has stored. `messageId` names the message that the trigger is about.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, Self, cast
from uuid import UUID, uuid5

from pydantic import (
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

from chat_app.chats.models import ID_PATTERN

Id = Annotated[str, Field(pattern=ID_PATTERN)]

_MAX_PARTS = 1000

Trigger = Literal["submit-message", "regenerate-message", "continue-message"]

_EDITS = UUID("5f0e9a3c-6b1d-5c55-9a58-0c8b6e1f7a21")  # an arbitrary namespace for derived ids


class TextPart(BaseModel):
    """A text part."""

    type: Literal["text"]
    text: str


class OtherPart(BaseModel):
    """A part that is not text; ignored."""

    type: str


# Fails fast: otherwise each wrong part is its own error, and a body of zeros makes millions.
SentParts = Annotated[list[TextPart | OtherPart], FailFast(), Field(max_length=_MAX_PARTS)]


class SentMessage(BaseModel):
    """A message from a client, which chooses the ids of prompts.

    A prompt sent again with the same id is the same turn.
    """

    id: Id
    role: Literal["user", "assistant"]
    parts: SentParts

    @property
    def text(self) -> str | None:
        """The text of its text parts, joined; None if it has none."""
        texts = [part.text for part in self.parts if isinstance(part, TextPart)]
        return "".join(texts) if texts else None


def _last(messages: object) -> object:
    """The last of the messages: the others are never read, so they can be anything."""
    return cast("list[object]", messages)[-1:] if isinstance(messages, list) else messages


History = Annotated[
    list[SentMessage],
    BeforeValidator(_last),
    Field(min_length=1),
    WithJsonSchema(
        {
            "type": "array",
            "minItems": 1,
            "items": {},
            "description": "The AI SDK's form: all messages; only the last one is read.",
        }
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A prompt as it was sent.

    Attributes:
        id: The id its message will have, unless it is an edit sent under the old prompt's id.
        edited_id: The prompt it may replace; the server decides whether it does.
    """

    id: str
    text: str
    edited_id: str | None


class ChatRequest(BaseModel):
    """Send, edit, regenerate or continue in the chat `id`; an unknown id begins a new chat.

    A prompt needs `message` or `messages`, not both; regenerating or continuing needs neither.
    """

    model_config = ConfigDict(
        extra="ignore", alias_generator=AliasGenerator(alias=to_camel), title="ChatRequest"
    )

    id: Id
    message: SentMessage | None = None
    messages: History | None = None
    trigger: Trigger = "submit-message"
    message_id: Id | None = None
    model: Annotated[
        str | None,
        Field(description="The model that answers; the default if omitted. See /api/models."),
    ] = None

    @model_validator(mode="after")
    def _has_prompt(self) -> Self:
        if self.message is not None and self.messages is not None:
            msg = "send either message or messages, not both"
            raise ValueError(msg)
        if self.trigger == "submit-message":
            sent = self._sent
            if sent is None:
                msg = "a message is required"
                raise ValueError(msg)
            if sent.role == "user" and sent.text is None:
                msg = "the prompt has no text part"
                raise ValueError(msg)
        return self

    @property
    def _sent(self) -> SentMessage | None:
        return self.messages[-1] if self.messages else self.message

    @property
    def action(self) -> Literal["send", "regenerate", "continue"]:
        """The requested action; `continue` if the last message is a reply."""
        if self.trigger == "regenerate-message":
            return "regenerate"
        if self.trigger == "continue-message" or self.prompt is None:
            return "continue"
        return "send"

    @property
    def prompt(self) -> Prompt | None:
        """The prompt; None if the last message is a reply, or there is none."""
        sent = self._sent
        if sent is None or sent.role != "user" or sent.text is None:
            return None
        return Prompt(id=sent.id, text=sent.text, edited_id=self.message_id)

    @property
    def reply_id(self) -> str | None:
        """The reply to continue; None for the last one."""
        sent = self._sent
        if self.message_id is None and sent is not None and sent.role == "assistant":
            return sent.id
        return self.message_id


def edit_id(edited_id: str, text: str) -> str:
    """The id of a prompt that replaces `edited_id`, for a client that keeps using the old id.

    The same edit sent again gets the same id, so it is the same turn.
    """
    return uuid5(_EDITS, f"{edited_id}\n{text}").hex
