"""Where the page's figures go: a results file, and a section of `docs/benchmarks.md`."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.children import ROOT

Files = Mapping[str, tuple[int, int]]
"""The size of each file in bytes, plain and gzipped, by name."""

_RESULTS = ROOT / "bench" / "results" / "page.json"
_PAGE = ROOT / "docs" / "benchmarks.md"
_MARKS = re.compile(r"(<!-- page -->\n).*(\n<!-- /page -->)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure, and the most it may be if it has a budget."""

    what: str
    value: float
    unit: str
    budget: float | None = None

    @property
    def holds(self) -> bool | None:
        """Whether the figure is within its budget; None if it has none."""
        return None if self.budget is None else self.value <= self.budget

    def line(self) -> str:
        """Return the figure as a row of a Markdown table."""
        held = {True: "✓", False: "✗", None: ""}[self.holds]
        budget = "" if self.budget is None else f"≤ {self.budget:g} {self.unit}"
        return f"| {self.what} | {self.value:.3g} {self.unit} | {budget} | {held} |"


def write(machine: Mapping[str, str], figures: Sequence[Figure], files: Files) -> None:
    """Replace the results file and the section of the page."""
    results = {
        "machine": machine,
        "figures": [
            {"what": f.what, "value": round(f.value, 3), "unit": f.unit, "budget": f.budget}
            for f in figures
        ],
        "files": {name: {"bytes": raw, "gzipped": gz} for name, (raw, gz) in files.items()},
    }
    _RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    section = _markdown(machine, figures, files)
    text = _PAGE.read_text()
    _PAGE.write_text(_MARKS.sub(lambda marks: marks[1] + section + marks[2], text))


def _markdown(machine: Mapping[str, str], figures: Sequence[Figure], files: Files) -> str:
    rows = "\n".join(figure.line() for figure in figures)
    sizes = "\n".join(
        f"| `{name}` | {raw / 1000:.1f} | {gz / 1000:.1f} |"
        for name, (raw, gz) in sorted(files.items(), key=lambda item: -item[1][1])
    )
    where = f"{machine['date']}, {machine['processor']}, Chromium {machine['Chromium']}"
    return (
        f"{where}.\n\n| figure | | budget | |\n|:--|--:|:--|:-:|\n{rows}\n\n"
        f"| file of the first load | kB | gzipped |\n|:--|--:|--:|\n{sizes}"
    )
