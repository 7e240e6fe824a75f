"""Limits how much of a request body the server holds.

FastAPI's own limit (`max_body_size`) answers an excessive declared length in plain text.
"""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat_app.api.errors import error_response
from chat_app.errors import PromptTooLarge


class BodyLimit:
    """Answers 413 as soon as a body is longer than allowed, whatever its headers say."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._max_digits = (len(str(max_bytes)), str(max_bytes).encode())
        self._text = f"a request body may have at most {max_bytes} bytes"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on while it is within the limit."""
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"")
        # Compared as text: Python refuses to parse numbers of thousands of digits.
        digits = declared.lstrip(b"0") if declared.isdigit() else b""
        if (len(digits), digits) > self._max_digits:
            await error_response(413, PromptTooLarge.code, self._text)(scope, receive, send)
            return
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise HTTPException(413, self._text)
            return message

        await self._app(scope, limited, send)
