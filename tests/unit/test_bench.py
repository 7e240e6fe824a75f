"""The arithmetic of the benchmarks: what they count, and what they derive from it."""

import math

import pytest

from bench import chart, report
from bench.budgets import Budget
from bench.stamps import Latencies, Tally, brief_stamp, due_mark, percentile, stamp
from bench.wire import ResponseReader


def frame(*numbers: int, due: int = 1_000) -> bytes:
    text = "".join(stamp(number, mark=due_mark(due)) for number in numbers)
    return b'data: {"type":"text-delta","id":"1","delta":"%b"}\n\n' % text.encode()


def tally() -> Tally:
    return Tally(Latencies(begin=0, end=10**15))


def test_a_percentile_is_the_value_that_so_many_do_not_exceed() -> None:
    values = list(range(1, 101))

    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
    assert percentile([7], 0.01) == 7
    assert math.isnan(percentile([], 0.5))


def test_a_stamp_has_the_length_of_any_other() -> None:
    assert (
        len(stamp(1, mark=due_mark(1))) == len(stamp(99_999_999, mark=due_mark(10**14 - 1))) == 24
    )
    assert {len(brief_stamp(number)) for number in (1, 10_000)} == {4}


def test_deltas_in_order_are_neither_missing_nor_repeated() -> None:
    counted = tally()

    counted.take(frame(1) + frame(2, 3), now=2_000)

    assert (counted.seen, counted.missing, counted.repeated) == (3, 0, 0)


def test_a_jump_is_a_gap_as_wide_as_what_was_left_out() -> None:
    counted = tally()

    counted.take(frame(1, 2) + frame(6), now=2_000)

    assert (counted.seen, counted.missing, counted.repeated) == (3, 3, 0)


def test_a_delta_that_comes_again_is_a_duplicate() -> None:
    counted = tally()

    counted.take(frame(1, 2) + frame(2) + frame(3), now=2_000)

    assert (counted.seen, counted.missing, counted.repeated) == (3, 0, 1)


@pytest.mark.parametrize("size", [1, 7, 24, 50, 1000])
def test_frames_are_counted_once_however_they_are_cut(size: int) -> None:
    whole, counted = frame(1) + frame(2, 3, 4) + frame(5), tally()

    for at in range(0, len(whole), size):
        counted.take(whole[at : at + size], now=2_000)

    assert (counted.seen, counted.missing, counted.repeated) == (5, 0, 0)


def test_latency_counts_from_the_due_time_and_only_within_the_window() -> None:
    latencies = Latencies(begin=1_000, end=2_000)
    counted = Tally(latencies)

    for number, due in enumerate((999, 1_000, 1_999, 2_000), start=1):
        counted.take(frame(number, due=due), now=5_000)

    assert list(latencies.values) == [4_000, 3_001]
    assert latencies.arrived == 4


@pytest.mark.parametrize(
    "text", [stamp(1, mark=due_mark(5)) + stamp(3, mark=due_mark(5)), "001@003@"]
)
def test_deltas_kept_for_later_are_counted_the_same(text: str) -> None:
    counted = Tally(None)

    counted.take(text.encode(), now=9)
    counted.settle()

    assert (counted.arrived, counted.seen, counted.missing) == (2, 2, 1)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_a_chunked_body_is_read_however_it_is_cut(size: int) -> None:
    wire = b"HTTP/1.1 200 OK\r\nx: y\r\n\r\n5\r\nab\r\nc\r\nA\r\n0123456789\r\n0\r\n\r\n"
    response = ResponseReader()

    body = b"".join(response.feed(wire[at : at + size]) for at in range(0, len(wire), size))

    assert (response.status, body, response.ended) == (200, b"ab\r\nc0123456789", True)


def test_a_body_that_was_cut_off_has_not_ended() -> None:
    response = ResponseReader()

    body = response.feed(b"HTTP/1.1 200 OK\r\n\r\n5\r\nab")

    assert (body, response.ended) == (b"ab", False)


def test_an_error_has_no_body_to_count() -> None:
    response = ResponseReader()

    body = response.feed(b"HTTP/1.1 500 No\r\ncontent-length: 4\r\n\r\n1@2 ")

    assert (response.status, body) == (500, b"")


def test_a_budget_is_a_share_of_the_peer_or_a_limit_of_its_own() -> None:
    summary = {("s", "ours"): {"cpu": 4.0, "p99": 120.0}, ("s", "peer"): {"cpu": 10.0}}

    def holds(budget: Budget) -> bool | None:
        return budget.holds(summary)

    assert holds(Budget(scenario="s", metric="cpu", limit=0.4))
    assert not holds(Budget(scenario="s", metric="cpu", limit=0.39))
    assert not holds(Budget(scenario="s", metric="cpu", limit=0.5, bound="least"))
    assert not holds(Budget(scenario="s", metric="p99", limit=100, of_peer=False))
    assert holds(Budget(scenario="s", metric="absent", limit=1)) is None


def measurement(round_: int, cpu: float, *, contender: str = "ours") -> dict[str, object]:
    metrics = {"cpu_us": cpu, "commands": {"xadd": 1.0}}
    checks = {"ok": True}
    return {
        "scenario": "streams-400",
        "contender": contender,
        "round": round_,
        "metrics": metrics,
        "checks": checks,
    }


def test_a_summary_holds_the_medians_of_the_rounds() -> None:
    found = report.summarise([measurement(1, 9.0), measurement(2, 1.0), measurement(3, 3.0)])

    assert found == {("streams-400", "ours"): {"cpu_us": 3.0}}


def test_the_table_shows_the_ratio_and_whether_the_budget_holds() -> None:
    summary = report.summarise([measurement(1, 9.0), measurement(1, 10.0, contender="peer")])

    (row,) = report.rows(summary)

    assert (row.ours, row.peer, row.ratio, row.mark) == ("9", "10", "0.90", "✓")


def test_the_chart_is_drawn_of_what_was_measured() -> None:
    summary = report.summarise([measurement(1, 9.0), measurement(1, 10.0, contender="peer")])

    drawn = chart.draw(summary)

    assert drawn.startswith("<svg ")
    assert drawn.count("<rect ") == 1 + 2 + 2  # background, legend, bars
