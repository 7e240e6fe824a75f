"""The results of a run, as text and as a chart."""

from collections.abc import Sequence
from html import escape
from itertools import pairwise

from bench.stamps import percentile
from tests.chaos.run import Report
from tests.chaos.schedule import KINDS
from tests.chaos.witness import Witness

_BOUNDS = (0.1, 0.2, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0)
_BAR = 40  # characters


def as_text(report: Report, witness: Witness, *, seed: int) -> str:
    """Return the whole report for the terminal."""
    lines = [
        f"seed {seed}: {report.complete} of {report.turns} answers complete and byte-exact, "
        f"after {report.faults.total()} faults in {report.seconds:.0f} s",
        f"{report.takeovers} takeovers · {witness.appends} appends seen by Redis, "
        f"{len(witness.fenced)} of them by a fenced producer · {report.logs} logs read to the end",
        "",
        "Longest time that any viewer was without new text, in seconds:",
        f"{'fault':<10}{'count':>6}{'p50':>7}{'p99':>7}{'max':>7}",
    ]
    for kind, meaning in KINDS.items():
        if found := sorted(round(1000 * seconds) for seconds in report.recoveries.get(kind, [])):
            p50, p99, most = (percentile(found, share) / 1000 for share in (0.5, 0.99, 1.0))
            lines.append(f"{kind:<10}{len(found):>6}{p50:>7.2f}{p99:>7.2f}{most:>7.2f}  {meaning}")
    lines += ["", *_bars(_all(report))]
    lines += ["", *(f"BROKEN: {law}" for law in report.broken)] if report.broken else []
    return "\n".join(lines)


def as_svg(report: Report, *, seed: int) -> str:
    """Draw the recovery times as an SVG histogram."""
    groups = _histogram(_all(report))
    most = max((count for _, count in groups), default=1)
    rows = [
        f'<text x="10" y="20" font-weight="bold">Recovery after a fault, s (seed {seed})</text>'
    ]
    for row, (label, count) in enumerate(groups):
        y = 34 + 20 * row
        rows += [
            f'<text x="90" y="{y + 12}" text-anchor="end">{escape(label)}</text>',
            f'<rect x="100" y="{y}" width="{count / most * 400:.0f}" height="16" fill="#0f766e"/>',
            f'<text x="{106 + count / most * 400:.0f}" y="{y + 12}">{count}</text>',
        ]
    height = 44 + 20 * len(groups)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="560" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#1f2937">\n'
        '<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join(rows) + "\n</svg>\n"
    )


def _all(report: Report) -> list[float]:
    return [seconds for found in report.recoveries.values() for seconds in found]


def _bars(values: Sequence[float]) -> list[str]:
    groups = _histogram(values)
    most = max((count for _, count in groups), default=1)
    return [f"{label:>10} {'█' * round(count / most * _BAR)} {count}" for label, count in groups]


def _histogram(values: Sequence[float]) -> list[tuple[str, int]]:
    """Count the values between each pair of bounds, up to the highest bound reached."""
    bounds = [0.0, *_BOUNDS, float("inf")]
    groups = [
        (
            f"{low:g}–{high:g}" if high < float("inf") else f"over {low:g}",
            sum(low <= value < high for value in values),
        )
        for low, high in pairwise(bounds)
    ]
    while groups and not groups[-1][1]:
        groups.pop()
    return groups
