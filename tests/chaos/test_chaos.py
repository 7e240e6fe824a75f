"""A short `make chaos` with most kinds of fault, and proof that it detects violations."""

import math
from pathlib import Path

import pytest

from tests.chaos import laws
from tests.chaos.report import as_svg, as_text
from tests.chaos.run import run
from tests.chaos.schedule import draw_schedule
from tests.chaos.stage import staged
from tests.chaos.witness import Witness, watching

_KINDS = ("kill", "terminate", "cut", "swallow", "empty", "rewind", "flush", "unplug", "lock")
"""Most faults that last are left to the long run."""


@pytest.mark.anyio
@pytest.mark.timeout(180)
async def test_nothing_is_lost_whatever_breaks(tmp_path: Path) -> None:
    turns = draw_schedule(7, turns=9, servers=2, kinds=_KINDS, seconds=(3.0, 5.0))
    ended: list[None] = []

    async with staged(tmp_path, servers=2) as stage:
        with watching(stage.redis.port) as witness:
            report = await run(
                stage, turns, witness, lanes=3, limit=math.inf, tick=lambda: ended.append(None)
            )

    assert report.broken == [], (tmp_path / "servers.log").read_text()[-4000:]
    assert report.complete == len(ended) == 9
    assert sorted(report.faults) == sorted(_KINDS)
    assert witness.appends
    assert "9 of 9 answers complete" in as_text(report, witness, seed=7)
    assert as_svg(report, seed=7).startswith("<svg")


def test_the_same_seed_is_the_same_schedule() -> None:
    def drawn(seed: int) -> tuple[object, ...]:
        return draw_schedule(seed, turns=20, servers=3, kinds=_KINDS, seconds=(1.0, 2.0))

    assert drawn(1) == drawn(1) != drawn(2)


def line(place: bytes, *arguments: bytes) -> bytes:
    quoted = b" ".join(b'"%b"' % argument for argument in arguments)
    return b"+1700000000.000000 [0 %b] %b\r\n" % (place, quoted)


def append(token: int, offset: int, data: bytes) -> list[bytes]:
    """Return what MONITOR reports for one append."""
    frames = [b"%d" % token, b"%d" % offset, b"0", b"", b"1", data]
    called = [b"EVALSHA", b"sha", b"2", b"{s}:state", b"{s}:log", b"1", b"1", *frames]
    written = [b"XADD", b"{s}:log", b"%d-0" % offset, b"f", data]
    return [line(b"127.0.0.1:5000", *called), line(b"lua", *written)]


def opening(token: int) -> bytes:
    return line(b"lua", b"HSET", b"{s}:state", b"token", b"%d" % token)


def test_the_witness_recognizes_an_append_by_a_fenced_producer() -> None:
    witness = Witness()

    for told in [opening(1), *append(1, 1, b"a"), opening(2), *append(2, 2, b"b")]:
        witness.hear(told)
    assert (witness.appends, witness.fenced) == (2, [])
    for told in append(1, 3, b"c"):
        witness.hear(told)

    assert len(witness.fenced) == 1


def test_the_witness_recognizes_an_offset_rewritten_with_other_bytes() -> None:
    witness = Witness()

    for told in [opening(1), *append(1, 1, b"a"), *append(1, 1, b"a")]:
        witness.hear(told)
    assert witness.rewritten == []
    for told in append(1, 1, b"other"):
        witness.hear(told)

    assert len(witness.rewritten) == 1


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        (laws.Stored(replies=[("whole", "complete")], outcomes=[None], takeovers=0), "[None]"),
        (laws.Stored(replies=[], outcomes=["completed"], takeovers=0), "replies are []"),
        (
            laws.Stored(replies=[("who", "complete")], outcomes=["completed"], takeovers=0),
            "from 3 on '' instead of 'le'",
        ),
    ],
)
def test_a_broken_law_is_reported(stored: laws.Stored, told: str) -> None:
    (broken,) = laws.broken("whole", [], [], stored)

    assert told in broken
