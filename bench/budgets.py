"""The performance budgets that need neither a browser nor a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench.scenarios import OURS, OURS_COMPACTED, PEER, SCENARIOS

Summary = Mapping[tuple[str, str], Mapping[str, float]]
"""The median of each metric, by scenario and contender."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A limit for one metric of one scenario.

    Attributes:
        bound: Whether `limit` is an upper bound (`most`) or a lower one (`least`).
        of_peer: Whether `limit` is a factor of the peer's figure in the same run, or absolute.
    """

    scenario: str
    metric: str
    limit: float
    contender: str = OURS.name
    bound: Literal["most", "least"] = "most"
    of_peer: bool = True

    def __str__(self) -> str:
        sign = "≤" if self.bound == "most" else "≥"
        return f"{sign} {self.limit:g}{' × peer' if self.of_peer else ''}"

    def holds(self, summary: Summary) -> bool | None:
        """Whether the budget holds; None if a figure it needs was not measured."""
        own = summary.get((self.scenario, self.contender), {}).get(self.metric)
        unit = 1.0
        if self.of_peer:
            unit = summary.get((self.scenario, PEER.name), {}).get(self.metric, 0.0)
        if own is None or not unit:
            return None
        return own <= self.limit * unit if self.bound == "most" else own >= self.limit * unit


def _most(scenario: str, metric: str, limit: float) -> Budget:
    return Budget(scenario=scenario, metric=metric, limit=limit)


def _absolute(scenario: str, metric: str, limit: float, *, least: bool = False) -> Budget:
    bound = "least" if least else "most"
    return Budget(scenario=scenario, metric=metric, limit=limit, bound=bound, of_peer=False)


BUDGETS = (
    _most("viewers-100", "cpu_us", 0.45),
    _most("viewers-500", "cpu_us", 0.45),
    _most("streams-400", "cpu_us", 1.0),
    _most("elsewhere-400", "cpu_us", 0.7),
    _most("elsewhere-100", "cpu_us", 0.7),
    _absolute("streams-800", "p99_ms", 100),
    _absolute("streams-800", "delivered_share", 0.99, least=True),
    *(
        _absolute(scenario.name, "sent_per_event", 2)
        for scenario in SCENARIOS
        if scenario.kind == "paced"
    ),
    _absolute("viewers-1000", "p99_ms", 100),
    *(
        Budget(scenario=name, metric="delivered_per_s", limit=10, bound="least")
        for name in ("pour-1", "pour-10")
    ),
    *(
        _most(name, metric, 0.7)
        for name in ("resume-1", "resume-50")
        for metric in ("first_ms", "caught_up_ms")
    ),
    *(
        Budget(scenario=name, metric="bytes", limit=0.1, contender=OURS_COMPACTED.name)
        for name in ("resume-1", "resume-50")
    ),
)


def budget_of(scenario: str, contender: str, metric: str) -> Budget | None:
    """Return the budget for a figure, if there is one."""
    for budget in BUDGETS:
        if (budget.scenario, budget.contender, budget.metric) == (scenario, contender, metric):
            return budget
    return None
