"""How a flush reaches the store: in one call, or in one call per stream."""

import asyncio
import logging
from collections.abc import Sequence
from hashlib import sha1
from typing import Any, Protocol

from redis.exceptions import NoScriptError

from chat_app.streams.connection import Command, DedicatedConnection
from chat_app.streams.keys import Keys
from chat_app.streams.outages import STORE_ERRORS

_logger = logging.getLogger(__name__)

Request = tuple[Keys, Sequence[str | bytes]]
"""A stream's keys, and its share of the arguments to `append.lua`."""

Script = Any
"""A script registered with redis-py or burner-redis."""


class Appends(Protocol):
    """Runs `append.lua` for the one writer of a process, which never makes two calls at once."""

    async def __call__(self, head: Sequence[str], requests: Sequence[Request]) -> list[bytes]:
        """Run the requests and return the status of each.

        Args:
            head: The arguments that all requests share.
            requests: What to append; each request is for a different stream.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections it has opened."""
        ...


class EmbeddedAppends:
    """Appends to all streams in one call to the store in this process."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def __call__(self, head: Sequence[str], requests: Sequence[Request]) -> list[bytes]:
        """Run the requests and return the status of each."""
        keys, args = _joined(head, requests)
        return await self._script(keys=keys, args=args)

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""


class ServerAppends:
    """Appends to all streams in one call, over a connection of its own."""

    def __init__(self, client: Any, *, text: str) -> None:
        self._client = client
        self._text = text
        self._sha = _sha(text)
        self._connection = DedicatedConnection(client.connection_pool.make_connection())

    async def __call__(self, head: Sequence[str], requests: Sequence[Request]) -> list[bytes]:
        """Run the requests and return the status of each."""
        keys, args = _joined(head, requests)
        command = ("EVALSHA", self._sha, str(len(keys)), *keys, *args)
        [replies] = await self._connection.execute([command])
        if isinstance(replies, NoScriptError):  # the store has restarted
            await self._client.script_load(self._text)
            [replies] = await self._connection.execute([command])
        if isinstance(replies, Exception):
            raise replies
        return replies

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.aclose()


class ClusterAppends:
    """Makes one call per stream, sent together per node: a call must not name keys of two slots.

    A call that fails, because its node is gone, has restarted or has handed the slot on, is sent
    once more through the client, which finds the right node.
    """

    def __init__(self, client: Any, *, text: str, script: Script) -> None:
        self._client = client
        self._sha = _sha(text)
        self._script = script
        self._connections: dict[str, DedicatedConnection] = {}  # by node name

    async def __call__(self, head: Sequence[str], requests: Sequence[Request]) -> list[bytes]:
        """Run the requests and return the status of each."""
        await self._client.initialize()
        nodes: dict[str, tuple[Any, list[int]]] = {}
        for index, (keys, _) in enumerate(requests):
            node = self._client.get_node_from_key(keys.state)
            nodes.setdefault(node.name, (node, []))[1].append(index)
        replies: list[Any] = [None] * len(requests)

        async def call(node: Any, indexes: list[int]) -> None:
            commands = [self._command(head, requests[index]) for index in indexes]
            for index, reply in zip(indexes, await self._execute(node, commands), strict=True):
                replies[index] = reply

        async with asyncio.TaskGroup() as tasks:
            for node, indexes in nodes.values():
                tasks.create_task(call(node, indexes))
        for index, reply in enumerate(replies):
            if isinstance(reply, Exception):
                keys, args = requests[index]
                [replies[index]] = await self._script(keys=keys, args=[*head, *args])
            else:
                [replies[index]] = reply
        return replies

    def _command(self, head: Sequence[str], request: Request) -> Command:
        keys, args = request
        return ("EVALSHA", self._sha, "2", *keys, *head, *args)

    async def _execute(self, node: Any, commands: Sequence[Command]) -> Sequence[Any]:
        connection = self._connections.get(node.name)
        if connection is None:
            connection = DedicatedConnection(node.connection_class(**node.connection_kwargs))
            self._connections[node.name] = connection
        try:
            return await connection.execute(commands)
        except STORE_ERRORS as error:
            _logger.info("node %s: %s", node.name, type(error).__name__)
            return [error] * len(commands)

    async def aclose(self) -> None:
        """Close the connections."""
        for connection in self._connections.values():
            await connection.aclose()


def _joined(
    head: Sequence[str], requests: Sequence[Request]
) -> tuple[list[str], list[str | bytes]]:
    keys: list[str] = []
    args: list[str | bytes] = [*head]
    for names, values in requests:
        keys += names
        args += values
    return keys, args


def _sha(text: str) -> str:
    return sha1(text.encode(), usedforsecurity=False).hexdigest()
