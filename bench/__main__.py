"""`make bench`: measure everything, print a table, write JSON and a chart."""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import chart, machine, report
from bench.children import PEER, ROOT
from bench.measure import measure
from bench.progress import Progress
from bench.scenarios import SCENARIOS, Contender, Scenario
from bench.stage import MeasurementFailed, Pace
from tests.support import npm

_RESULTS = ROOT / "bench" / "results"
_PAGE = ROOT / "docs" / "benchmarks.md"
_FULL = Pace(window=8.0, pour=2.0)
_QUICK = Pace(window=3.0, pour=1.0)
_TRIES = 2  # attempts at a measurement that other programs disturb
_QUIET_TIMEOUT = 10.0  # seconds to wait before each attempt for other programs to go quiet


def main() -> None:
    """Run the benchmarks that the command line selects."""
    options = _options()
    # SIGTERM ends a run as cleanly as Ctrl-C: every program it started is ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    scenarios = [scenario for scenario in SCENARIOS if _wanted(scenario, options)]
    rounds = options.rounds or (1 if options.quick else 3)
    npm.install(PEER)
    pace = _QUICK if options.quick else _FULL
    measurements = _measure_all(scenarios, rounds=rounds, pace=pace)
    full = not options.quick and not options.scenario
    results = {
        "machine": machine.describe(),
        "rounds": rounds,
        "window_s": pace.window,
        "measurements": measurements,
    }
    _write(results, name="full" if full else "partial")
    if full:
        report.write_page(_PAGE, results)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench --", description=main.__doc__)
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--quick", action="store_true", help="fewer scenarios, one short round")
    parser.add_argument("--scenario", action="append", choices=names, help="may be repeated")
    parser.add_argument("--rounds", type=int, choices=range(1, 21), metavar="1…20")
    return parser.parse_args()


def _wanted(scenario: Scenario, options: argparse.Namespace) -> bool:
    if options.scenario:
        return scenario.name in options.scenario
    return scenario.quick or not options.quick


def _measure_all(scenarios: Sequence[Scenario], *, rounds: int, pace: Pace) -> list[dict[str, Any]]:
    """Measure the sides alternately, A B A B …; which goes first changes with each round."""
    plan = [
        (number, scenario, contender)
        for number in range(1, rounds + 1)
        for scenario in scenarios
        for contender in scenario.contenders[:: 1 if number % 2 else -1]
    ]
    progress = Progress(len(plan))
    measurements: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, scenario, contender in plan:
            progress.begin(f"round {number} · {scenario.title} · {contender.name}")
            found = _measure(scenario, contender, pace=pace, folder=Path(folder), progress=progress)
            measurements.append(
                {"scenario": scenario.name, "contender": contender.name, "round": number, **found}
            )
            progress.end()
    progress.close()
    return measurements


def _measure(
    scenario: Scenario, contender: Contender, *, pace: Pace, folder: Path, progress: Progress
) -> dict[str, Any]:
    """Return the first undisturbed measurement, or the least disturbed of `_TRIES`."""
    tries: list[dict[str, Any]] = []
    while len(tries) < _TRIES:
        machine.wait_until_quiet(seconds=_QUIET_TIMEOUT, tick=progress.tick)
        try:
            found = measure(scenario, contender, pace=pace, folder=folder, tick=progress.tick)
        except (MeasurementFailed, OSError) as error:
            return {"metrics": {}, "checks": {"ok": False, "error": str(error)}}
        tries.append(found)
        # A gap or a duplicate is a result, however disturbed the run: it is never dropped.
        if _others(found) < machine.QUIET or not found["checks"]["ok"]:
            return found | {"tries": len(tries)}
    return min(tries, key=_others) | {"tries": _TRIES}


def _others(found: dict[str, Any]) -> float:
    return found["metrics"].get("others_share", 0.0)


def _write(results: dict[str, Any], *, name: str) -> None:
    summary = report.summarise(results["measurements"])
    print(report.text_table(list(report.rows(summary))))
    print(f"\n{report.verdict(summary)}")
    for problem in report.problems(results["measurements"]):
        print(f"CHECK FAILED: {problem}")
    for disturbance in report.disturbances(results["measurements"]):
        print(f"disturbed: {disturbance}")
    _RESULTS.mkdir(exist_ok=True)
    (_RESULTS / f"{name}.json").write_text(json.dumps(results, indent=1))
    (_RESULTS / f"{name}.svg").write_text(chart.draw(summary))
    print(f"\n{_RESULTS.relative_to(ROOT)}/{name}.json and .svg")


if __name__ == "__main__":
    main()
