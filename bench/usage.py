"""What the processes used between two readings of the counters, per event."""

import os
import re
from typing import Any

from bench.children import ROOT

_SCRIPTS = ROOT / "chat_app" / "streams" / "lua"
_CALL = re.compile(r"\bp?call\(['\"](\w+)")


def usage_metrics(usage: list[dict[str, Any]], *, produced: float) -> dict[str, Any]:
    """Compute the metrics of the window between two readings, in which `produced` were due."""
    before, after = usage
    gone = {name: after[name] - before[name] for name in after if name != "calls"}
    delivered, seconds = max(1, gone["delivered"]), gone["at"] / 1e6
    calls = {
        name: round((number - before["calls"].get(name, 0)) / produced, 3)
        for name, number in after["calls"].items()
    }
    cores = os.cpu_count() or 1
    others = gone["machine"] - gone["server"] - gone["redis"] - gone["load"]
    return {
        "cpu_us": (gone["server"] + gone["redis"]) / delivered * 1e6,
        "server_us": gone["server"] / delivered * 1e6,
        "redis_us": gone["redis"] / delivered * 1e6,
        "server_cores": gone["server"] / seconds,
        "load_cores": gone["load"] / seconds,
        "others_share": max(0.0, others / seconds / cores),
        "sent_per_event": _sent(calls),
        "commands_per_event": gone["commands"] / produced,
        "reads_per_event": gone["reads"] / produced,
        "commands": {name: share for name, share in calls.items() if share},
    }


def _sent(calls: dict[str, float]) -> float:
    """Return the commands that clients sent, without those that scripts ran inside Redis."""
    texts = [path.read_text() for path in _SCRIPTS.glob("*.lua")]
    inside = {name.lower() for text in texts for name in _CALL.findall(text)}
    scripted = any(name.startswith("eval") for name in calls)
    return sum(share for name, share in calls.items() if not (scripted and name in inside))
