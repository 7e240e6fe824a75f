"""One measurement: one scenario, one contender, fresh servers, and a check of what arrived."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from bench.load import Call
from bench.proc import rss_bytes
from bench.scenarios import BACKLOG, RATE, Contender, Scenario
from bench.stage import (
    GRACE,
    Pace,
    Stage,
    ask,
    carry_out,
    plan_of,
    set_up,
    until_produced,
    wait,
)
from bench.usage import usage_metrics

_WARM_UP = 1.5  # seconds from the last viewer's arrival to the window
_REST = 0.5  # seconds from the end of the window to the end of the shortest stream
_ARRIVALS = 400  # viewers per second
_ALONE = 20  # resumes, one after another
_SETTLE = 2.0  # seconds to wait before reading memory


def measure(
    scenario: Scenario, contender: Contender, *, pace: Pace, folder: Path, tick: Callable[[], None]
) -> dict[str, Any]:
    """Start the servers, measure, and end them; return `metrics` and `checks`.

    Args:
        scenario: What to measure.
        contender: Whose server to measure.
        pace: How long to measure.
        folder: Where the servers write their output.
        tick: Called a few times per second.
    """
    with set_up(scenario, contender, pace=pace, folder=folder, tick=tick) as stage:
        return _KINDS[scenario.kind](stage)


def _paced(stage: Stage) -> dict[str, Any]:
    scenario = stage.scenario
    viewers = scenario.streams * scenario.viewers
    ramp = max(0.5, viewers / _ARRIVALS)
    begin = ramp + _WARM_UP
    end = begin + stage.pace.window
    direct = scenario.viewers == 1 and scenario.processes == 1
    lead = 0.0 if direct else 1.0 + scenario.streams / _ARRIVALS
    count = int((lead + end + _REST) * RATE)
    query = f"n={count}&rate={RATE:g}{stage.contender.query}"
    if not direct:
        for number in range(scenario.streams):
            ask(stage.near, "POST", f"/s/{number}?{query}&detached")
    arrivals = random.Random(1)  # the same for both sides
    times = sorted(arrivals.uniform(0, ramp) for _ in range(viewers))
    calls = [
        Call(
            at=at,
            port=stage.far.port,
            method="POST" if direct else "GET",
            path=f"/s/{number % scenario.streams}?{query if direct else ''}",
        )
        for number, at in enumerate(times)
    ]
    plan = plan_of(stage, calls, window=(begin, end), deadline=end + lead + ramp + GRACE)
    result = carry_out(stage, plan)
    metrics = usage_metrics(result["usage"], produced=stage.pace.window * RATE * scenario.streams)
    latency = result["latency_us"]
    metrics |= {f"{name}_ms": latency[name] / 1000 for name in latency if name != "count"}
    expected = stage.pace.window * RATE * viewers
    metrics["delivered_share"] = min(1.0, latency["count"] / expected)
    return {"metrics": metrics, "checks": _checks(result, expected=count * viewers, to_end=True)}


def _resume(stage: Stage) -> dict[str, Any]:
    query = f"n={BACKLOG}&rate=0&detached&linger&separate&brief"
    ask(stage.near, "POST", f"/s/0?{query}")
    until_produced(stage)
    alone = stage.scenario.viewers == 1
    viewers = _ALONE if alone else stage.scenario.viewers
    path = f"/s/0?after=0{stage.contender.query}"
    calls = [Call(at=0, port=stage.far.port, method="GET", path=path) for _ in range(viewers)]
    plan = plan_of(stage, calls, one_by_one=alone, leave_after=BACKLOG)
    result = carry_out(stage, plan)
    caught_up = [
        asked + last for asked, last in zip(result["asked_us"], result["last_us"], strict=True)
    ]
    total = max(caught_up) - min(result["asked_us"])
    metrics = {
        "first_ms": median(result["first_us"]) / 1000,
        "caught_up_ms": median(result["last_us"]) / 1000 if alone else total / 1000,
        "bytes": result["bytes"] / viewers,
    }
    return {"metrics": metrics, "checks": _checks(result, expected=BACKLOG * viewers)}


def _pour(stage: Stage) -> dict[str, Any]:
    query = f"n={10**8 - 1}&rate=0&seconds={stage.pace.pour}&detached&hold"
    ask(stage.near, "POST", f"/s/0?{query}")
    result, begun = None, time.monotonic_ns() // 1000

    def go() -> None:
        nonlocal begun
        begun = time.monotonic_ns() // 1000
        ask(stage.near, "POST", "/go/0")

    if stage.scenario.viewers:
        call = Call(at=0, port=stage.far.port, method="GET", path="/s/0?")
        plan = plan_of(stage, [call] * stage.scenario.viewers, deadline=60.0)
        result = carry_out(stage, plan, on_attached=go)
    else:
        go()
    stats = until_produced(stage)
    metrics = {"source_per_s": stats["produced"] / stats["elapsed_us"] * 1e6}
    if result is None:
        return {"metrics": metrics, "checks": {"ok": stats["produced"] > 0}}
    caught_up = [
        asked + last for asked, last in zip(result["asked_us"], result["last_us"], strict=True)
    ]
    metrics["delivered_per_s"] = stats["produced"] / (max(caught_up) - begun) * 1e6
    expected = stats["produced"] * stage.scenario.viewers
    return {"metrics": metrics, "checks": _checks(result, expected=expected, to_end=True)}


def _idle(stage: Stage) -> dict[str, Any]:
    ask(stage.near, "POST", "/s/0?n=1&rate=0&detached&hold")
    before = _memory(stage)
    after = before

    def weigh() -> None:
        nonlocal after
        after = _memory(stage)
        ask(stage.near, "POST", "/go/0")

    viewers = stage.scenario.viewers
    call = Call(at=0, port=stage.far.port, method="GET", path="/s/0?")
    result = carry_out(stage, plan_of(stage, [call] * viewers), on_attached=weigh)
    metrics = {"kib_per_viewer": (after - before) / viewers / 1024}
    return {"metrics": metrics, "checks": _checks(result, expected=viewers, to_end=True)}


_KINDS: dict[str, Callable[[Stage], dict[str, Any]]] = {
    "paced": _paced,
    "resume": _resume,
    "pour": _pour,
    "idle": _idle,
}


def _memory(stage: Stage) -> int:
    wait(stage, _SETTLE)
    return rss_bytes(pid for child in stage.servers for pid in child.pids)


def _checks(result: dict[str, Any], *, expected: int, to_end: bool = False) -> dict[str, Any]:
    checks = {name: result[name] for name in ("viewers", "answered", "ended", "seen")}
    checks |= {"expected": expected, "gaps": result["missing"], "duplicates": result["repeated"]}
    complete = result["seen"] == expected and result["answered"] == result["viewers"]
    clean = not result["missing"] and not result["repeated"]
    ended = result["ended"] == result["viewers"] or not to_end
    return checks | {"ok": complete and clean and ended}
