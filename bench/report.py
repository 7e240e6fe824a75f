"""The results of a run: medians, a table, the page `docs/benchmarks.md`."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.budgets import BUDGETS, Summary, budget_of
from bench.machine import QUIET
from bench.scenarios import OURS, OURS_COMPACTED, PEER, PEER_AS_DOCUMENTED, SCENARIOS, Scenario

_METRICS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "paced": (
        ("cpu_us", "CPU per delivered event, µs"),
        ("p50_ms", "latency p50, ms"),
        ("p99_ms", "latency p99, ms"),
        ("delivered_share", "share delivered"),
        ("sent_per_event", "Redis commands per produced event"),
    ),
    "resume": (
        ("first_ms", "first byte, ms"),
        ("caught_up_ms", "caught up, ms"),
        ("bytes", "bytes"),
    ),
    "pour": (
        ("source_per_s", "source, events/s"),
        ("delivered_per_s", "delivered to all, events/s"),
    ),
    "idle": (("kib_per_viewer", "memory per viewer, KiB"),),
}
_PAIRS = ((OURS, PEER), (OURS_COMPACTED, PEER), (OURS, PEER_AS_DOCUMENTED))
_MARKS = {True: "✓", False: "✗", None: ""}
_DISTURBING = (
    ("others_share", QUIET, "other programs used more than 5 % of the machine"),
    ("load_cores", 0.8, "the load generator was near its limit"),
)
_RESULTS = re.compile(r"(<!-- results -->\n).*(\n<!-- /results -->)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the table: our figure beside the peer's."""

    scenario: str
    metric: str
    ours: str
    peer: str
    ratio: str
    budget: str
    mark: str


def summarise(measurements: Sequence[Mapping[str, Any]]) -> Summary:
    """Return the median of each metric over the rounds."""
    values: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for measurement in measurements:
        of_side = values[measurement["scenario"], measurement["contender"]]
        for metric, value in measurement["metrics"].items():
            if isinstance(value, int | float):
                of_side[metric].append(value)
    return {
        key: {metric: median(found) for metric, found in metrics.items()}
        for key, metrics in values.items()
    }


def rows(summary: Summary) -> Iterator[Row]:
    """Return the rows of the table."""
    for scenario in SCENARIOS:
        for ours, peer in _PAIRS:
            own = summary.get((scenario.name, ours.name))
            other = summary.get((scenario.name, peer.name), {})
            if own is None or (peer is PEER_AS_DOCUMENTED and not other):
                continue
            note = "" if (ours, peer) == (OURS, PEER) else _note(ours.name, peer.name)
            yield from _rows(scenario, ours.name, own=own, other=other, note=note)


def _note(ours: str, peer: str) -> str:
    return f" ({ours if ours != OURS.name else peer})"


def _rows(
    scenario: Scenario,
    name: str,
    *,
    own: Mapping[str, float],
    other: Mapping[str, float],
    note: str,
) -> Iterator[Row]:
    for metric, label in _METRICS[scenario.kind]:
        if metric not in own:
            continue
        figure, peers = own[metric], other.get(metric)
        budget = budget_of(scenario.name, name, metric) if "documented" not in note else None
        summary = {(scenario.name, name): own, (scenario.name, PEER.name): other}
        yield Row(
            scenario=scenario.title + note,
            metric=label,
            ours=_figure(figure),
            peer="–" if peers is None else _figure(peers),
            ratio=f"{figure / peers:.2f}" if peers else "–",
            budget=str(budget or ""),
            mark=_MARKS[budget.holds(summary)] if budget else "",
        )


def _figure(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def problems(measurements: Sequence[Mapping[str, Any]]) -> list[str]:
    """Describe each measurement that failed its checks, on either side."""
    return [
        f"{found['scenario']}, {found['contender']}, round {found['round']}: {found['checks']}"
        for found in measurements
        if not found["checks"]["ok"]
    ]


def disturbances(measurements: Sequence[Mapping[str, Any]]) -> list[str]:
    """Describe each measurement disturbed by other programs or limited by the load generator."""
    return [
        f"{found['scenario']}, {found['contender']}, round {found['round']}: {what}"
        for found in measurements
        for metric, most, what in _DISTURBING
        if found["metrics"].get(metric, 0.0) > most
    ]


def verdict(summary: Summary) -> str:
    """Say how many budgets hold."""
    held = [budget.holds(summary) for budget in BUDGETS]
    measured = [result for result in held if result is not None]
    return f"{sum(measured)} of {len(measured)} measured budgets hold"


def text_table(table: Sequence[Row]) -> str:
    """Lay the table out for a terminal."""
    cells = [("scenario", "figure", "ours", "peer", "ratio", "budget", "")]
    last = ""
    for row in table:
        title = "" if row.scenario == last else row.scenario
        last = row.scenario
        cells.append((title, row.metric, row.ours, row.peer, row.ratio, row.budget, row.mark))
    widths = [max(len(line[column]) for line in cells) for column in range(7)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if 2 <= column <= 4 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )


def markdown(results: Mapping[str, Any]) -> str:
    """Render the results as the generated section of the page."""
    summary = summarise(results["measurements"])
    machine = "\n".join(f"| {name} | {value} |" for name, value in results["machine"].items())
    body = "\n".join(
        f"| {row.scenario} | {row.metric} | {row.ours} | {row.peer} | {row.ratio} "
        f"| {row.budget} | {row.mark} |"
        for row in rows(summary)
    )
    wrong = problems(results["measurements"])
    disturbed = disturbances(results["measurements"])
    return (
        f"{results['rounds']} rounds, medians; {verdict(summary)}.\n\n"
        f"| the machine | |\n|:--|:--|\n{machine}\n\n"
        "| scenario | figure | ours | peer | ours ÷ peer | budget | |\n"
        f"|:--|:--|--:|--:|--:|:--|:-:|\n{body}\n\n"
        + ("\n".join(f"- {line}" for line in wrong) if wrong else _ALL_ARRIVED)
        + ("\n\nDisturbed:\n\n" + "\n".join(f"- {line}" for line in disturbed) if disturbed else "")
    )


_ALL_ARRIVED = "In every measurement, on both sides, each delta arrived exactly once and in order."


def write_page(page: Path, results: Mapping[str, Any]) -> None:
    """Replace the section between the page's markers with the results."""
    text = page.read_text()
    page.write_text(_RESULTS.sub(lambda marks: marks[1] + markdown(results) + marks[2], text))
