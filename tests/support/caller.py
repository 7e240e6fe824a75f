"""Clients of the HTTP edge."""

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
    """Somebody with a session. Cookies know no ports: it is good at every server on this host."""

    def __init__(self, server: AppServer) -> None:
        self.http = httpx.Client(timeout=TOO_LONG, verify=False)  # no certificates to be read
        self.http.post(f"{server.api}/api/session").raise_for_status()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.http.close()

    def send(self, server: AppServer, text: str, *, chat: str, message: str = "") -> "Sending":
        body = prompt(text, chat=chat, message=message or uuid4().hex)
        return Sending(self.http.stream("POST", f"{server.api}/api/chat", json=body))

    def watch(self, server: AppServer, chat: str, **query: str | int) -> "Sending":
        """`resume`, frame by frame."""
        params = {"chatId": chat, **query}
        return Sending(self.http.stream("GET", f"{server.api}/api/chat", params=params))

    def resume(self, server: AppServer, chat: str, **query: str | int) -> httpx.Response:
        return self.http.get(f"{server.api}/api/chat", params={"chatId": chat, **query})

    def read(self, server: AppServer, chat: str, **query: str | int) -> bytes:
        """`watch`, to the end."""
        with self.watch(server, chat, **query) as viewing:
            return b"".join(viewing)

    def stop(self, server: AppServer, chat: str) -> httpx.Response:
        return self.http.post(f"{server.api}/api/chat/{chat}/stop")


class Sending:
    """A response that is being read."""

    def __init__(self, response: Any) -> None:
        self._response = response

    def __enter__(self) -> Iterator[bytes]:
        response = self._response.__enter__()
        assert response.status_code == 200, response.read()
        return frames(response)

    def __exit__(self, *exc_info: object) -> None:
        self._response.__exit__(*exc_info)


def frames(response: httpx.Response) -> Iterator[bytes]:
    """The frames of a response, one by one, as they come; without heartbeats, which come at any time."""
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
    """What is in the log, without what was added for this one response."""
    return [
        frame.decode(piece)[1]
        for piece in frame.split(data)
        if piece.startswith(b"id:") and b"\ndata:" in piece
    ]


def rows(server: AppServer, query: str) -> list[Any]:
    with closing(sqlite3.connect(Path(server.folder) / "chat.db")) as connection:
        return connection.execute(query).fetchall()


Visit = Callable[[AppServer], Caller]
"""Makes somebody new, with a session from that server."""
