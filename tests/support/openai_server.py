"""An OpenAI-compatible model server on real sockets, scripted by the test.

    async with OpenAIServer(answer("Hel", "lo"), refusal(429, retry_after=7)) as server:
        model = LiteLLMModel("openai/test-model", api_base=server.base_url, api_key="test-key", ...)

Each request gets the next scripted reply; once the script is used up, it gets `DEFAULT`. For tests
without an event loop there is `openai_server_in_thread`.
"""

import asyncio
import json
import socket
import struct
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Self

from anyio.from_thread import start_blocking_portal

DONE = b"data: [DONE]\n\n"


class Cue(Enum):
    """What the server does in the middle of a body besides sending."""

    HOLD = auto()
    """Stay silent until `OpenAIServer.release`, or until the client leaves."""
    CLOSE = auto()
    """Close the connection (FIN); the body lacks its terminating chunk."""
    RESET = auto()
    """Reset the connection (RST)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One scripted response: each `bytes` of the body is one write."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("content-type", "text/event-stream"),)
    body: tuple[bytes | Cue, ...]


def sse(data: object) -> bytes:
    """Return one SSE frame."""
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def chunk(delta: dict[str, Any] | None = None, **fields: Any) -> bytes:
    """Return one `chat.completion.chunk`; without a delta it has no choices, as a usage chunk."""
    finish_reason = fields.pop("finish_reason", None)
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return sse(
        {
            "id": "chatcmpl-test",
            "object": "chat.completion.chunk",
            "created": 1700000000,
            "model": "test-model",
            "choices": [] if delta is None else [choice],
            **fields,
        }
    )


ROLE = chunk({"role": "assistant", "content": ""})


def texts(*pieces: str) -> tuple[bytes, ...]:
    """Return content chunks."""
    return tuple(chunk({"content": piece}) for piece in pieces)


def reasoning(*pieces: str) -> tuple[bytes, ...]:
    """Return reasoning chunks in the form that DeepSeek and vLLM send."""
    return tuple(chunk({"reasoning_content": piece}) for piece in pieces)


def ending(
    reason: str = "stop", *, prompt_tokens: int = 7, completion_tokens: int = 3
) -> tuple[bytes, ...]:
    """Return the finish reason, the usage and `[DONE]`."""
    counts = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
    return chunk({}, finish_reason=reason), chunk(usage=counts), DONE


def answer(*pieces: str) -> Reply:
    """Return a complete, successful answer."""
    return Reply(body=(ROLE, *texts(*pieces), *ending()))


def refusal(
    status: int,
    *,
    message: str = "no",
    code: str | None = None,
    retry_after: str | None = None,
) -> Reply:
    """Return an error response in OpenAI's form."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    headers = [("content-type", "application/json")]
    if retry_after is not None:
        headers.append(("retry-after", retry_after))
    body = json.dumps({"error": error}).encode()
    return Reply(status=status, headers=tuple(headers), body=(body,))


DEFAULT = answer("Hello ", "from ", "the ", "test ", "model.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One model request, as the server saw it.

    Attributes:
        disconnected: Set when the client left before its reply was complete.
    """

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return self.body["messages"]


class OpenAIServer:
    """Answers `POST /v1/chat/completions` from the script and records every request."""

    def __init__(self, *replies: Reply) -> None:
        self.requests: list[Request] = []
        self._script = deque(replies)
        self._connections: set[asyncio.Task[None]] = set()  # ended by __aexit__
        self._held: deque[asyncio.Event] = deque()
        self._releases = 0  # releases for holds that have not begun yet
        self._acts = 0

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def script(self, *replies: Reply) -> None:
        """Append to the script."""
        self._script.extend(replies)

    def release(self) -> None:
        """End one `Cue.HOLD`, the current one or the next; callable from any thread."""
        self._loop.call_soon_threadsafe(self._release)

    def reset(self) -> None:
        """Forget script, requests and releases; replies in progress run to their end, unheld.

        This keeps the leftovers of one test out of the next. Callable from any thread.
        """
        self._script.clear()
        self.requests.clear()
        self._acts += 1
        self._loop.call_soon_threadsafe(self._release_all)

    def _release(self) -> None:
        if self._held:
            self._held.popleft().set()
        else:
            self._releases += 1

    def _release_all(self) -> None:
        self._releases = 0
        while self._held:
            self._release()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._converse(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _read_request(reader)
            self.requests.append(request)
            reply = self._script.popleft() if self._script else DEFAULT
            gone, act = asyncio.create_task(reader.read()), self._acts
            try:
                if not await self._send(reply, writer, gone=gone, act=act):
                    request.disconnected.set()
            finally:
                gone.cancel()
                await asyncio.gather(gone, return_exceptions=True)
        except asyncio.IncompleteReadError:
            pass  # a connection that never became a request
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _send(
        self, reply: Reply, writer: asyncio.StreamWriter, *, gone: asyncio.Task[bytes], act: int
    ) -> bool:
        """Send `reply`; return False if the client left before its end."""
        try:
            writer.write(_head(reply))
            for part in reply.body:
                if isinstance(part, bytes):
                    writer.write(b"%x\r\n%s\r\n" % (len(part), part))
                    await writer.drain()
                elif part is Cue.HOLD:
                    if act == self._acts and not await self._hold(gone):
                        return False
                else:
                    _break_off(writer, part)
                    return True
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        except ConnectionError:
            return False
        return True

    async def _hold(self, gone: asyncio.Task[bytes]) -> bool:
        """Wait for a release or for the client to leave; return whether it was a release."""
        if self._releases:
            self._releases -= 1
            return True
        released = asyncio.Event()
        self._held.append(released)
        waiting = asyncio.create_task(released.wait())
        try:
            await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
            return released.is_set()
        finally:
            waiting.cancel()
            if released in self._held:
                self._held.remove(released)


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    request_line, *lines = head.split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(path=request_line.split()[1], headers=headers, body=json.loads(body))


def _head(reply: Reply) -> bytes:
    lines = [
        f"HTTP/1.1 {reply.status} Scripted",
        *(f"{name}: {value}" for name, value in reply.headers),
        "transfer-encoding: chunked",
        "connection: close",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _break_off(writer: asyncio.StreamWriter, cue: Cue) -> None:
    if cue is Cue.RESET:
        # With SO_LINGER at zero seconds, closing the socket resets the connection.
        raw: socket.socket = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.close()


@contextmanager
def openai_server_in_thread(*replies: Reply) -> Iterator[OpenAIServer]:
    """Run the server on its own event loop, for tests that have none."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(OpenAIServer(*replies)) as server,
    ):
        yield server
