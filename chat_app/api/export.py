"""A chat as a file."""

from typing import Literal
from urllib.parse import quote

from starlette.responses import Response

from chat_app.api.contract import Responses
from chat_app.chats.models import Chat, Message

Format = Literal["markdown", "json"]

_KINDS: dict[Format, tuple[str, str]] = {
    "markdown": ("text/markdown; charset=utf-8", "md"),
    "json": ("application/json", "json"),
}
FILE_RESPONSE: Responses = {
    200: {
        "description": "The chat as a download.",
        "content": {
            "text/markdown": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "object"}},
        },
        "headers": {"content-disposition": {"schema": {"type": "string"}}},
    }
}

_SPEAKERS = {"user": "Question", "assistant": "Answer"}


def markdown(chat: Chat) -> str:
    """The branch that is shown; what people and models wrote is already Markdown and is kept."""
    return "\n\n".join([f"# {chat.title}", *map(_section, chat.active_path)]) + "\n"


def _section(message: Message) -> str:
    heading = f"## {_SPEAKERS[message.role]}"
    if message.status != "complete":
        heading += f" ({message.status})"
    return f"{heading}\n\n{message.text.strip()}"


def as_file(text: str, kind: Format, *, title: str) -> Response:
    """`text` as a download named after the chat."""
    content_type, extension = _KINDS[kind]
    # RFC 6266: the plain name for old clients, the encoded one for all others.
    name = f"filename=\"chat.{extension}\"; filename*=UTF-8''{quote(title, safe='')}.{extension}"
    return Response(
        text,
        headers={"content-type": content_type, "content-disposition": f"attachment; {name}"},
    )
