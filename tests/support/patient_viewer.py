"""A viewer who follows an answer to its end, whatever becomes of its connections."""

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx

from chat_app.streams import frame
from tests.support.caller import prompt, text_of

_PAUSE = 0.05
_CUT = (httpx.TransportError,)


class PatientViewer:
    """Sends a prompt and takes the answer, by the rule that every client has.

    Whatever is cut, or refused with 503, is asked for again from the cursor: the prompt with its
    message id until there is an answer, then the stream behind the last event received.

    Attributes:
        text: The answer so far.
        errors: What a person would have been told: any other status, an error event, a gap.
        recoveries: Seconds from each break of a connection to the next event.
        closed: Whether the end was seen.
    """

    def __init__(self, http: httpx.AsyncClient, api: str) -> None:
        self.text = ""
        self.errors: list[str] = []
        self.recoveries: list[float] = []
        self.closed = False
        self.chat = uuid4().hex
        self._http = http
        self._api = api
        self._cursor = 0
        self._broken_at: float | None = None

    async def ask(self, text: str) -> None:
        """Send `text`; return when its answer has ended."""
        body = prompt(text, chat=self.chat, message=uuid4().hex)
        asking = self._http.build_request("POST", f"{self._api}/api/chat", json=body)
        while not self.closed and not self.errors:
            request = asking if self._cursor == 0 else self._resuming()
            try:
                async for piece in self._frames(request):
                    self._take(piece)
            except _CUT:
                pass
            if not self.closed:
                self._broken_at = self._broken_at or time.monotonic()
                await _moment()

    def _resuming(self) -> httpx.Request:
        params = {"chatId": self.chat, "after": self._cursor}
        return self._http.build_request("GET", f"{self._api}/api/chat", params=params)

    async def _frames(self, request: httpx.Request) -> AsyncIterator[bytes]:
        response = await self._http.send(request, stream=True)
        try:
            if response.status_code != 200:
                if response.status_code != 503:
                    self.errors.append(f"{response.status_code} {await response.aread()!r}")
                return
            kept = b""
            async for data in response.aiter_raw():
                *pieces, kept = (kept + data).split(b"\n\n")
                for piece in pieces:
                    yield piece + b"\n\n"
        finally:
            await response.aclose()

    def _take(self, piece: bytes) -> None:
        if piece == frame.DONE:
            self.closed = True
        if not piece.startswith(b"id:"):
            return
        offset, event = frame.decode(piece)
        if offset != self._cursor + 1:
            self.errors.append(f"offset {offset} after {self._cursor}")
        if event["type"] == "error":
            self.errors.append(str(event))
        self._cursor = offset
        self.text += text_of(piece)
        if self._broken_at is not None:
            self.recoveries.append(time.monotonic() - self._broken_at)
            self._broken_at = None


async def _moment() -> None:
    """A pause before a client asks again."""
    with_nothing = asyncio.Event()
    try:
        async with asyncio.timeout(_PAUSE):
            await with_nothing.wait()
    except TimeoutError:
        return
