"""Who writes what into Redis, as reported by Redis itself (MONITOR)."""

import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

_ARGUMENT = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_RETRY = 0.02  # seconds between attempts to reach a Redis that is away


class Witness:
    """Checks every append against the fencing token that is valid at that moment.

    After a Redis restart the witness misses what happens before it has reconnected. The bytes that
    viewers got are compared with the log in any case.

    Attributes:
        appends: Events it saw written.
        fenced: Events written by a producer that no longer owned the stream.
        rewritten: Events written to an offset that had held other bytes.
    """

    def __init__(self) -> None:
        self.appends = 0
        self.fenced: list[str] = []
        self.rewritten: list[str] = []
        self._owners: dict[bytes, int] = {}  # state key → the highest token it has had
        self._writing: dict[bytes, int] = {}  # log → token, in the script that runs
        self._written: dict[tuple[bytes, bytes], bytes] = {}

    def hear(self, line: bytes) -> None:
        """Process one line of MONITOR output."""
        command, *arguments = _ARGUMENT.findall(line) or [b""]
        if command.upper() == b"EVALSHA":
            self._writing = tokens(arguments)
        elif b" lua]" in line.split(b'"', 1)[0]:
            self._hear_script(command.upper(), arguments)

    def _hear_script(self, command: bytes, arguments: list[bytes]) -> None:
        key = arguments[0] if arguments else b""  # the queue runs its own scripts, too
        if command == b"HSET" and key.endswith(b"}:state") and arguments[1] == b"token":
            self._owners[key] = max(int(arguments[2]), self._owners.get(key, 0))
        elif command == b"XADD" and key.endswith(b"}:log"):
            log, entry, _, data = arguments
            self.appends += 1
            token = self._writing.get(log)
            owner = self._owners.get(log.removesuffix(b":log") + b":state", 0)
            if token is None or token < owner:
                self.fenced.append(f"{log!r} {entry!r}: token {token}, owner {owner}")
            if self._written.setdefault((log, entry), data) != data:
                self.rewritten.append(f"{log!r} {entry!r}")


def tokens(arguments: list[bytes]) -> dict[bytes, int]:
    """Return each log with its token in a call of `append.lua`; nothing for any other call."""
    count = int(arguments[1])
    keys, values = arguments[2 : 2 + count], arguments[4 + count :]
    found: dict[bytes, int] = {}
    for log in keys[1::2]:
        # Token, first offset, whether to restore, outcome, number of frames, and the frames.
        if len(values) < 5 or not values[4].isdigit():
            return {}
        found[log] = int(values[0])
        values = values[5 + int(values[4]) :]
    return {} if values else found


@contextmanager
def watching(port: int) -> Iterator[Witness]:
    """Watch the Redis on `port` across its restarts."""
    witness, ended = Witness(), threading.Event()
    connections: list[socket.socket] = []

    def listen() -> None:
        while not ended.is_set():
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as connection:
                connections[:] = [connection]
                if ended.is_set():
                    return  # the shutdown below may have missed this connection
                connection.sendall(b"MONITOR\r\n")
                for line in connection.makefile("rb"):
                    witness.hear(line)
            ended.wait(_RETRY)

    with ThreadPoolExecutor(1) as pool:
        listening = pool.submit(listen)
        try:
            yield witness
        finally:
            ended.set()
            for connection in connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        listening.result()  # raises if the thread failed
