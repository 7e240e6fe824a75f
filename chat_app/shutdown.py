"""What to do at once when the process is told to stop."""

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
    """Call `act` in the event loop on SIGTERM or SIGINT, in addition to the server's handler.

    The server stops only after its last response, and a viewer's response lasts as long as its
    stream. So whatever ends the responses cannot wait for the end of the lifespan.

    Only the first signal counts. Ctrl-C reaches Granian's supervisor and its worker, and the
    supervisor then sends the worker another one; two in quick succession block the worker forever
    (`WorkerSignal.set` waits for room in a channel of one).
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are not ours: something else runs the loop, such as a test
        return
    loop = asyncio.get_running_loop()
    before: dict[signal.Signals, Any] = {}
    stopping = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping:
            return
        stopping = True
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
