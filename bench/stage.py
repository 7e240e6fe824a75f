"""The servers a measurement runs on, and the steps it takes with them."""

import http.client
import json
import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import children
from bench.children import Child
from bench.load import Call, Plan
from bench.scenarios import Contender, Scenario

GRACE = 20.0
"""Seconds a side has to deliver the rest."""


class MeasurementFailed(Exception):
    """A side did not do what the scenario requires; the message says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long to measure, in seconds: the `window` of paced streams, and an unthrottled `pour`."""

    window: float
    pour: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The running programs: `near` produces and `far` serves the viewers; they may be the same."""

    scenario: Scenario
    contender: Contender
    pace: Pace
    redis: Child
    near: Child
    far: Child
    tick: Callable[[], None]

    @property
    def servers(self) -> list[Child]:
        """The distinct servers."""
        return [self.near] if self.near is self.far else [self.near, self.far]


@contextmanager
def set_up(
    scenario: Scenario, contender: Contender, *, pace: Pace, folder: Path, tick: Callable[[], None]
) -> Iterator[Stage]:
    """Run the programs of a scenario for the length of the block."""
    serve = children.ours if contender.side == "ours" else children.peer
    with ExitStack() as stack:
        redis = stack.enter_context(children.redis(folder))
        near = stack.enter_context(serve(folder, redis_port=redis.port))
        far = near
        if scenario.processes == 2:
            far = stack.enter_context(serve(folder, redis_port=redis.port))
        yield Stage(
            scenario=scenario,
            contender=contender,
            pace=pace,
            redis=redis,
            near=near,
            far=far,
            tick=tick,
        )


def plan_of(stage: Stage, calls: list[Call], **options: Any) -> Plan:
    """Plan what the load generator does and whose CPU time it reads meanwhile."""
    return Plan(
        calls=calls,
        server=[pid for child in stage.servers for pid in child.pids],
        redis=stage.redis.pids,
        redis_port=stage.redis.port,
        **options,
    )


def carry_out(
    stage: Stage, plan: Plan, *, on_attached: Callable[[], None] | None = None
) -> dict[str, Any]:
    """Have the load generator carry out the plan; return the result."""
    with children.load_generator(plan.to_json()) as process:
        for message in _messages(process, stage=stage, seconds=plan.deadline + GRACE):
            if message["event"] == "result":
                return message
            if on_attached is not None:
                on_attached()
    raise MeasurementFailed("the load generator gave no result")


def _messages(
    process: "subprocess.Popen[bytes]", *, stage: Stage, seconds: float
) -> Iterator[dict[str, Any]]:
    """Yield what the load generator reports until it ends or `seconds` pass."""
    assert process.stdout is not None
    deadline, text = time.monotonic() + seconds, b""
    while time.monotonic() < deadline:
        stage.tick()
        if not select.select([process.stdout], [], [], 0.2)[0]:
            continue
        read = os.read(process.stdout.fileno(), 1 << 16)
        if not read:
            return
        *lines, text = (text + read).split(b"\n")
        yield from map(json.loads, lines)


def until_produced(stage: Stage) -> dict[str, Any]:
    """Wait until the source of stream 0 has ended; return its statistics."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        stats = json.loads(ask(stage.near, "GET", "/stats/0"))
        if stats["elapsed_us"] is not None:
            return stats
        wait(stage, 0.1)
    raise MeasurementFailed("the source did not get to its end")


def wait(stage: Stage, seconds: float) -> None:
    """Let `seconds` pass, ticking."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        stage.tick()
        time.sleep(min(0.2, left))


def ask(child: Child, method: str, path: str) -> bytes:
    """Send one request and return the body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", child.port, timeout=30)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status >= 300:
        raise MeasurementFailed(f"{method} {path}: {response.status}")
    return body
