"""What is done at once when the process is told to end."""

import asyncio
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def on_shutdown_signal(act: Callable[[], None]) -> Generator[None]:
    """Have `act` called in the event loop at SIGTERM or SIGINT, beside what the server does.

    The server stops only when its last response has ended, and a viewer's response ends with its
    stream. So what ends them cannot wait for the end of the lifespan.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are not ours to take: somebody else runs the loop, such as a test
        return
    loop = asyncio.get_running_loop()
    before: dict[signal.Signals, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(act)
        earlier = before[signal.Signals(number)]
        if callable(earlier):
            earlier(number, frame)

    for number in _SIGNALS:
        before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
