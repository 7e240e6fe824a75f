"""HTTP clients of the API."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import httpx

from chat_app.streams import frame
from tests.support.app_server import AppServer

TOO_LONG = 20


class Caller:
    """A client with a session. Cookies ignore ports, so the session works at every local server."""

    def __init__(self, server: AppServer) -> None:
        self.http = httpx.Client(timeout=TOO_LONG, verify=False)  # saves reading certificates
        self.http.post(f"{server.api}/api/session").raise_for_status()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.http.close()

    def send(self, server: AppServer, text: str, *, chat: str, message: str = "") -> "Sending":
        body = prompt(text, chat=chat, message=message or uuid4().hex)
        return Sending(self.http.stream("POST", f"{server.api}/api/chat", json=body))

    def watch(self, server: AppServer, chat: str, **query: str | int) -> "Sending":
        """Like `resume`, frame by frame."""
        params = {"chatId": chat, **query}
        return Sending(self.http.stream("GET", f"{server.api}/api/chat", params=params))

    def resume(self, server: AppServer, chat: str, **query: str | int) -> httpx.Response:
        return self.http.get(f"{server.api}/api/chat", params={"chatId": chat, **query})

    def read(self, server: AppServer, chat: str, **query: str | int) -> bytes:
        """Like `watch`, to the end of the response."""
        with self.watch(server, chat, **query) as viewing:
            return b"".join(viewing)

    def stop(self, server: AppServer, chat: str) -> httpx.Response:
        return self.http.post(f"{server.api}/api/chat/{chat}/stop")


class Sending:
    """A streaming response, read frame by frame."""

    def __init__(self, response: Any) -> None:
        self._response = response

    def __enter__(self) -> Iterator[bytes]:
        response = self._response.__enter__()
        assert response.status_code == 200, response.read()
        return frames(response)

    def __exit__(self, *exc_info: object) -> None:
        self._response.__exit__(*exc_info)


def frames(response: httpx.Response) -> Iterator[bytes]:
    """Yield the frames of a response as they come, except heartbeats, which come at any time."""
    kept = b""
    for data in response.iter_raw():
        kept += data
        while b"\n\n" in kept:
            piece, _, kept = kept.partition(b"\n\n")
            if piece + b"\n\n" != frame.HEARTBEAT:
                yield piece + b"\n\n"


def prompt(text: str, *, chat: str, message: str) -> dict[str, Any]:
    parts = [{"type": "text", "text": text}]
    return {"id": chat, "message": {"id": message, "role": "user", "parts": parts}}


def text_of(data: bytes) -> str:
    return "".join(event.get("delta", "") for event in events(data))


def events(data: bytes) -> list[dict[str, Any]]:
    """Return the events of the log in `data`, without frames added for this one response."""
    return [
        frame.decode(piece)[1]
        for piece in frame.split(data)
        if piece.startswith(b"id:") and b"\ndata:" in piece
    ]


def rows(server: AppServer, query: str) -> list[Any]:
    with closing(sqlite3.connect(Path(server.folder) / "chat.db")) as connection:
        return connection.execute(query).fetchall()


Visit = Callable[[AppServer], Caller]
"""Creates a new client, with a session from the given server."""
