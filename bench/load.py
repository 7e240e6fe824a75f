"""The load generator: one process, any number of viewers.

It reads one `Plan` as JSON from standard input and reports events as lines of JSON on standard
output: `attached` when every viewer has the head of its response, then `result`.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.lifeline import end_with_parent
from bench.proc import Usage
from bench.stamps import Latencies, Tally, percentile
from bench.wire import ResponseReader, request


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One viewer: when it connects, in seconds from the start, and what it requests."""

    at: float
    port: int
    method: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the load generator does.

    Attributes:
        calls: The viewers.
        one_by_one: Whether each viewer waits for the previous one to leave.
        leave_after: Deltas after which a viewer leaves; 0 to stay until the stream ends.
        window: Start and end of the measured window, in seconds from the start; None for none.
        deadline: Seconds from the start after which the remaining viewers are cut off.
        server: Ids of the processes whose CPU time counts as the server's.
        redis: The same for Redis.
        redis_port: The port on which to read Redis's counters.
    """

    calls: list[Call]
    one_by_one: bool = False
    leave_after: int = 0
    window: tuple[float, float] | None = None
    deadline: float = 60.0
    server: list[int] = field(default_factory=list)
    redis: list[int] = field(default_factory=list)
    redis_port: int = 0

    def to_json(self) -> str:
        """Serialize the plan for the load generator's standard input."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Read a plan that `to_json` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "calls": [Call(**call) for call in fields["calls"]]})


class Viewer(asyncio.Protocol):
    """One connection, following one stream."""

    def __init__(self, call: Call, latencies: Latencies | None, *, leave_after: int) -> None:
        loop = asyncio.get_running_loop()
        self.attached: asyncio.Future[None] = loop.create_future()
        self.gone: asyncio.Future[None] = loop.create_future()
        self.tally = Tally(latencies)
        self.response = ResponseReader()
        self.bytes = 0
        self.first = self.last = 0  # µs from `asked` to the first and the last body bytes
        self._call = call
        self._leave_after = leave_after
        self.asked = 0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.asked = _now()
        transport.write(request(self._call.method, self._call.path, port=self._call.port))

    def data_received(self, data: bytes) -> None:
        """Count the deltas and bytes; leave when the response ends or enough deltas arrived."""
        now = _now()
        body = self.response.feed(data)
        if body:
            self.bytes += len(body)
            self.last = now - self.asked
            self.first = self.first or self.last
            self.tally.take(body, now=now)
        if self.response.status and not self.attached.done():
            self.attached.set_result(None)
        if self.response.ended or 0 < self._leave_after <= self.tally.arrived:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Resolve both futures."""
        for future in (self.attached, self.gone):
            if not future.done():
                future.set_result(None)

    def cut(self) -> None:
        """Abort the connection."""
        self._transport.abort()


class Run:
    """The execution of one plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._start = _now()
        begin, end = plan.window or (0.0, 0.0)
        self._latencies = Latencies(begin=self._at(begin), end=self._at(end))
        self._viewers: list[Viewer] = []

    async def __call__(self) -> dict[str, Any]:
        """Carry out the plan and return the result."""
        measuring = asyncio.create_task(self._measure())
        try:
            async with asyncio.timeout(self._plan.deadline):
                await self._view()
        except TimeoutError:
            for viewer in self._viewers:
                viewer.cut()
        return self._result(await measuring)

    async def _view(self) -> None:
        for call in self._plan.calls:
            await self._until(call.at)
            viewer = await self._connect(call)
            if self._plan.one_by_one:
                await viewer.gone
        for viewer in self._viewers:
            await viewer.attached
        _report(event="attached")
        for viewer in self._viewers:
            await viewer.gone

    async def _connect(self, call: Call) -> Viewer:
        loop = asyncio.get_running_loop()
        latencies = self._latencies if self._plan.window else None
        _, viewer = await loop.create_connection(
            lambda: Viewer(call, latencies, leave_after=self._plan.leave_after),
            "127.0.0.1",
            call.port,
        )
        self._viewers.append(viewer)
        return viewer

    async def _measure(self) -> list[Usage]:
        usages: list[Usage] = []
        for moment in self._plan.window or ():
            await self._until(moment)
            usages.append(
                Usage.now(
                    delivered=self._latencies.arrived,
                    server=self._plan.server,
                    redis=self._plan.redis,
                    redis_port=self._plan.redis_port,
                )
            )
        return usages

    async def _until(self, seconds: float) -> None:
        wait = (self._at(seconds) - _now()) / 1e6
        if wait > 0:
            await asyncio.sleep(wait)

    def _at(self, seconds: float) -> int:
        return self._start + int(seconds * 1e6)

    def _result(self, usages: list[Usage]) -> dict[str, Any]:
        viewers = self._viewers
        tallies = [viewer.tally for viewer in viewers]
        for tally in tallies:
            tally.settle()
        return {
            "event": "result",
            "viewers": len(self._plan.calls),
            "answered": sum(viewer.response.status == 200 for viewer in viewers),
            "ended": sum(viewer.response.ended for viewer in viewers),
            "seen": sum(tally.seen for tally in tallies),
            "missing": sum(tally.missing for tally in tallies),
            "repeated": sum(tally.repeated for tally in tallies),
            "bytes": sum(viewer.bytes for viewer in viewers),
            "asked_us": [viewer.asked for viewer in viewers],
            "first_us": [viewer.first for viewer in viewers],
            "last_us": [viewer.last for viewer in viewers],
            "latency_us": _summary(self._latencies.values),
            "usage": [asdict(usage) for usage in usages],
        }


def _summary(values: Iterable[int]) -> dict[str, float]:
    ordered = sorted(values)
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {
        "count": len(ordered),
        **{name: percentile(ordered, share) for name, share in shares.items() if ordered},
    }


def _report(**message: Any) -> None:
    print(json.dumps(message), flush=True)


def _now() -> int:
    return time.monotonic_ns() // 1000


def _main(lines: Iterable[str]) -> None:
    end_with_parent()
    plan = Plan.from_json("".join(lines))
    _report(**asyncio.run(Run(plan)()))


if __name__ == "__main__":
    _main(sys.stdin)
