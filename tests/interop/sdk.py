"""The AI SDK's own clients, running in a Node process, as objects for the test."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.support.npm import NODE

FOLDER = Path(__file__).parent


class Sdk:
    """A Node process that runs the SDK.

    Every call returns within seconds: `sdk.js` bounds all its waits.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def open(self, server: str, chat: str, **options: Any) -> "Page":
        """Open a page that shows `chat`, at the server with the address `server`."""
        page = uuid4().hex
        self.call(page, "open", chat, {"server": server, **options})
        return Page(self, page)

    def call(self, page: str, method: str, *arguments: Any) -> Any:
        """Call a method in `sdk.js` and return its result."""
        to, back = self._process.stdin, self._process.stdout
        assert to is not None
        assert back is not None
        to.write(json.dumps([page, method, *arguments]) + "\n")
        to.flush()
        answer = back.readline()
        assert answer, f"node has ended with {self._process.wait(10)}"
        result, *error = json.loads(answer)
        assert not error, error[0]
        return result


class Page:
    """One `Chat` of the SDK with its `DefaultChatTransport`, both unmodified."""

    def __init__(self, sdk: Sdk, name: str) -> None:
        self._sdk = sdk
        self._name = name

    def send(self, text: str) -> None:
        """Start sending a prompt."""
        self._call("send", text)

    def continue_reply(self) -> None:
        """Start sending without a new message, to continue the last reply."""
        self._call("send")

    def edit(self, message_id: str, text: str) -> None:
        """Start sending an edited version of an earlier prompt."""
        self._call("edit", message_id, text)

    def regenerate(self) -> None:
        """Start regenerating the last reply."""
        self._call("regenerate")

    def resume(self) -> None:
        """Start resuming, as a freshly loaded page does."""
        self._call("resume")

    def leave(self) -> None:
        """Stop reading without telling the server."""
        self._call("leave")

    def reconnects(self) -> bool:
        """Whether there is anything to reconnect to."""
        return self._call("reconnects")

    def reads(self, text: str) -> None:
        """Wait until the last message is a reply with exactly this text."""
        self._call("reads", text)

    def has_status(self, status: str) -> None:
        """Wait until the chat has `status`, as `useChat` would report it."""
        self._call("is", status)

    @property
    def state(self) -> dict[str, Any]:
        return self._call("state")

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages on the page."""
        return self.state["messages"]

    @property
    def texts(self) -> list[str]:
        """The text of each message."""
        return [text_of(message) for message in self.messages]

    @property
    def error(self) -> str | None:
        return self.state["error"]

    @property
    def chunks(self) -> list[str]:
        """The types of the events received; an event that the SDK's schema rejects is marked."""
        return self.state["chunks"]

    def _call(self, method: str, *arguments: Any) -> Any:
        return self._sdk.call(self._name, method, *arguments)


def text_of(message: dict[str, Any]) -> str:
    """Return the text of a message."""
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


@contextmanager
def sdk_in_node() -> Iterator[Sdk]:
    """Run the SDK for the length of the block."""
    with subprocess.Popen(
        [NODE, FOLDER / "sdk.js"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Sdk(process)
        finally:
            process.kill()
