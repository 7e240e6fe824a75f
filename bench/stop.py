"""How long an answer goes on after a stop at another server: `python -m bench.stop`.

Two servers share one Redis. Each answer is requested at the first server and stopped at the second;
either may be the one that produces it. The time runs from sending the stop request until a viewer
at the first server gets the last event with text or, with a silent model, the end of the stream.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import httpx

from chat_app.streams import frame
from tests.support.app_server import AppServer, running_together
from tests.support.caller import events, prompt
from tests.support.redis_server import running_redis

_SPEAKING = "/demo tokens=2000 rate=50 words=1"
_SILENT = "/demo tokens=2 rate=0 words=1 pause=600@1"


async def stop_once(http: httpx.AsyncClient, here: str, there: str, text: str) -> float:
    """Return the milliseconds from the stop request to the last text after it, or to the end."""
    chat, asked = uuid4().hex, 0.0
    last = ended = 0.0
    stopping: asyncio.Task[httpx.Response] | None = None
    body = prompt(text, chat=chat, message=uuid4().hex)
    async with http.stream("POST", f"{here}/api/chat", json=body) as answer:
        async for data in answer.aiter_raw():
            now = time.monotonic()
            types = {event["type"] for event in events(data)}
            if "text-delta" in types and stopping is None:
                asked = time.monotonic()
                stopping = asyncio.create_task(http.post(f"{there}/api/chat/{chat}/stop"))
            elif "text-delta" in types:
                last = now
            if frame.DONE in data:
                ended = now
    if stopping is not None:
        (await stopping).raise_for_status()
    return 1000 * ((last if last > asked and text == _SPEAKING else ended) - asked)


async def measure(servers: list[AppServer], stops: int) -> None:
    """Stop `stops` answers of each kind, one after another, and print the times."""
    async with httpx.AsyncClient(timeout=30) as http:
        (await http.post(f"{servers[0].api}/api/session")).raise_for_status()
        for name, text in (("a model that speaks", _SPEAKING), ("a silent model", _SILENT)):
            times = [
                await stop_once(http, servers[0].api, servers[1].api, text) for _ in range(stops)
            ]
            hundredths = statistics.quantiles(times, n=100, method="inclusive")
            sys.stdout.write(
                f"{name}: {stops} stops, p50 {hundredths[49]:.0f} ms, "
                f"p99 {hundredths[98]:.0f} ms, max {max(times):.0f} ms\n"
            )


def main() -> None:
    """Start two servers and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stops", type=int, default=200)
    stops = parser.parse_args().stops
    with tempfile.TemporaryDirectory() as folder, running_redis() as redis_server:
        settings = {
            "REDIS_URL": redis_server.url,
            "MAX_PROMPTS_PER_MINUTE": "0",
            "MAX_REQUESTS_PER_MINUTE": "0",
        }
        servers = [AppServer(folder=Path(folder), settings=settings) for _ in range(2)]
        with running_together(*servers):
            asyncio.run(measure(servers, stops))


if __name__ == "__main__":
    main()
