"""A grouped bar chart as SVG."""

from collections.abc import Mapping, Sequence
from html import escape

from bench.budgets import Summary
from bench.scenarios import OURS, PEER, SCENARIOS

_WIDTH, _LEFT, _BAR, _GAP = 760, 300, 13, 14
_COLOURS = {OURS.name: "#0f766e", PEER.name: "#b45309"}
_PANELS = (
    ("CPU per delivered event, server and Redis, µs", "cpu_us"),
    ("Latency from due time, p99, ms", "p99_ms"),
    ("Backlog of 10,000 events caught up, ms", "caught_up_ms"),
)

Groups = Sequence[tuple[str, Mapping[str, float]]]
"""Labels, each with one value per series."""


def draw(summary: Summary) -> str:
    """Draw a run: shorter bars are better everywhere, and each pair has its own scale."""
    parts: list[str] = []
    top = 10
    for title, metric in _PANELS:
        groups = _groups(summary, metric)
        if groups:
            panel, height = _panel(title, groups, top=top)
            parts.append(panel)
            top += height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{top}" '
        f'viewBox="0 0 {_WIDTH} {top}" font-family="system-ui, sans-serif" font-size="12">\n'
        f'<rect width="{_WIDTH}" height="{top}" fill="#ffffff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _groups(summary: Summary, metric: str) -> Groups:
    groups: list[tuple[str, Mapping[str, float]]] = []
    for scenario in SCENARIOS:
        values = {
            name: figures[metric]
            for name in (OURS.name, PEER.name)
            if metric in (figures := summary.get((scenario.name, name), {}))
        }
        if values:
            groups.append((scenario.title, values))
    return groups


def _panel(title: str, groups: Groups, *, top: int) -> tuple[str, int]:
    lines = [_text(10, top + 16, title, weight="bold")]
    lines += _legend(top + 16)
    y = top + 34
    for label, values in groups:
        # Each pair has its own scale, because the chart compares ours with the peer's.
        scale = (_WIDTH - _LEFT - 70) / (max(values.values()) or 1.0)
        lines.append(_text(_LEFT - 10, y + _BAR * len(values) / 2 + 4, label, anchor="end"))
        for name, value in values.items():
            width = max(1.0, value * scale)
            lines.append(
                f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR - 2}" '
                f'fill="{_COLOURS[name]}"/>'
            )
            lines.append(_text(_LEFT + width + 5, y + _BAR - 3, _figure(value)))
            y += _BAR
        y += _GAP
    return "\n".join(lines), y - top + 10


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _legend(y: int) -> list[str]:
    lines: list[str] = []
    for at, (name, colour) in enumerate(_COLOURS.items()):
        x = _WIDTH - 130 + 60 * at
        lines.append(f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{colour}"/>')
        lines.append(_text(x + 14, y, name))
    return lines


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="#1f2937">{escape(text)}</text>'
    )
