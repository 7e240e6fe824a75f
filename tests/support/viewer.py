"""A client that follows an answer to its end, whatever happens to connections and servers."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator
from itertools import pairwise
from typing import Any
from uuid import uuid4

import httpx

from chat_app.streams import frame
from tests.support.caller import prompt, text_of
from tests.support.moment import pause

_STORED = re.compile(rb'^data: \{.*"data-appendMessage"', re.MULTILINE)
_PAUSES = (0.0, 0.05, 0.1, 0.2, 0.4)  # seconds before each try, the last for all that follow


class Viewer:
    """A client that follows the protocol's rules.

    If a request is cut, stalls or is refused with 503, the viewer retries at the next server: with
    the prompt and its message id until an event has come, then with a resume after the last event.

    Attributes:
        frames: The frames so far, as received; the event with offset k is at index k - 1.
        text: The answer so far.
        stream_id: The id of the stream, from the response header.
        marks: When text or the end came, on the monotonic clock.
        recoveries: Seconds from each broken connection to the next event.
        errors: Failures that a person was shown, or should have been.
        stored: Whether a stored message came in place of events that are no longer in the log.
        tries: The number of requests sent.
    """

    def __init__(
        self, http: httpx.AsyncClient, *apis: str, chat: str = "", wait: float | None = None
    ) -> None:
        """Prepare a viewer that sends its first request to the first of `apis`.

        Args:
            http: The client with the session.
            apis: The addresses of the servers.
            chat: The id of the chat; a new one by default.
            wait: Use long polls of at most this many seconds instead of streams.
        """
        self.frames: list[bytes] = []
        self.text = ""
        self.stream_id = ""
        self.marks: list[float] = []
        self.recoveries: list[float] = []
        self.errors: list[str] = []
        self.stored = False
        self.tries = 0
        self._http = http
        self._apis = apis
        self._chat = chat or uuid4().hex
        self._waiting = {} if wait is None else {"wait": wait}
        self._in_vain = 0  # requests since the last event
        self._broken_at: float | None = None  # when the connection being replaced broke
        self._closed = False
        self._grown = asyncio.Event()  # set at each event and at the end

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self._closed or bool(self.errors)

    def silence(self, *, since: float) -> float:
        """Return the longest time without new text after `since`, in seconds."""
        later = [since, *(mark for mark in self.marks if mark > since)]
        last = [] if self.ended else [time.monotonic()]
        return max((b - a for a, b in pairwise([*later, *last])), default=0.0)

    async def reached(self, length: int) -> None:
        """Wait until `length` characters have come, or the end."""
        while len(self.text) < length and not self.ended:
            self._grown.clear()
            await self._grown.wait()

    async def ask(self, text: str) -> None:
        """Send a prompt and follow its answer to the end."""
        await self._follow(prompt(text, chat=self._chat, message=uuid4().hex))

    async def follow(self) -> None:
        """Follow an answer that another client asked for to its end."""
        await self._follow(None)

    async def _follow(self, body: dict[str, Any] | None) -> None:
        while not self.ended:
            request = self._next_request(body)
            await pause(_PAUSES[min(self._in_vain, len(_PAUSES) - 1)])
            self.tries += 1
            self._in_vain += 1
            try:
                async for piece in self._pieces(request):
                    self._take(piece)
            except httpx.TransportError:
                pass
            if not self.ended:
                self._broken_at = self._broken_at or time.monotonic()
        self.marks.append(time.monotonic())
        self._grown.set()

    def _next_request(self, body: dict[str, Any] | None) -> httpx.Request:
        url = f"{self._apis[self.tries % len(self._apis)]}/api/chat"
        if body and not self.frames:
            return self._http.build_request("POST", url, json=body, params=self._waiting)
        place = {"chatId": self._chat, "after": len(self.frames)}
        return self._http.build_request("GET", url, params={**place, **self._waiting})

    async def _pieces(self, request: httpx.Request) -> AsyncGenerator[bytes]:
        response = await self._http.send(request, stream=True)
        try:
            if response.status_code != httpx.codes.OK:
                if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    self.errors.append(f"{response.status_code} {await response.aread()!r}")
                return
            self.stream_id = response.headers.get("x-stream-id", self.stream_id)
            kept = b""
            async for data in response.aiter_raw():
                *pieces, kept = (kept + data).split(b"\n\n")
                for piece in pieces:
                    yield piece + b"\n\n"
        finally:
            await response.aclose()

    def _take(self, piece: bytes) -> None:
        if piece == frame.DONE:
            self._closed = True
        elif _STORED.search(piece):
            self.stored = True
        elif piece.startswith(b"id:"):
            self._take_event(piece)

    def _take_event(self, piece: bytes) -> None:
        offset, event = frame.decode(piece)
        if offset != len(self.frames) + 1:
            self.errors.append(f"offset {offset} after {len(self.frames)}")
        if event["type"] in {"error", "abort"}:
            self.errors.append(str(event))
        self.frames.append(piece)
        self._in_vain = 0
        if self._broken_at is not None:
            self.recoveries.append(time.monotonic() - self._broken_at)
            self._broken_at = None
        if new := text_of(piece):
            self.text += new
            self.marks.append(time.monotonic())
        self._grown.set()
