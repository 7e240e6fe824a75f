"""The scenarios that are measured, and the contenders."""

from dataclasses import dataclass
from typing import Literal

RATE = 50.0  # events per second of each paced stream
BACKLOG = 10_000  # events

Kind = Literal["paced", "resume", "pour", "idle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One side of a comparison.

    Attributes:
        side: Whose server answers.
        query: Parameters that select this variant, added to the requests they apply to.
    """

    name: str
    side: Literal["ours", "peer"]
    query: str = ""


OURS = Contender(name="ours", side="ours")
PEER = Contender(name="peer", side="peer")
OURS_COMPACTED = Contender(name="ours, compacted", side="ours", query="&compact")
PEER_AS_DOCUMENTED = Contender(name="peer, as documented", side="peer", query="&documented")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One comparison.

    Attributes:
        kind: `paced` follows streams at `RATE` from their start; `resume` replays a backlog of
            `BACKLOG` events; `pour` has a source that emits as fast as it can; `idle` has viewers
            of a silent stream.
        streams: Concurrent streams.
        viewers: Viewers per stream. With `resume`, this many at once, or several in turn if 1.
        processes: 2 if the viewers and the producers are on different servers.
        quick: Whether a quick run includes the scenario.
    """

    name: str
    title: str
    kind: Kind
    streams: int = 1
    viewers: int = 1
    processes: int = 1
    contenders: tuple[Contender, ...] = (OURS, PEER)
    quick: bool = True


def _many_streams(
    streams: int, *, quick: bool = False, extra: tuple[Contender, ...] = ()
) -> Scenario:
    return Scenario(
        name=f"streams-{streams}",
        title=f"{streams:,} streams × 1 viewer",
        kind="paced",
        streams=streams,
        contenders=(OURS, PEER, *extra),
        quick=quick,
    )


def _many_viewers(viewers: int, *, quick: bool = False) -> Scenario:
    return Scenario(
        name=f"viewers-{viewers}",
        title=f"1 stream × {viewers:,} viewer{'s' if viewers > 1 else ''}",
        kind="paced",
        viewers=viewers,
        quick=quick,
    )


def _pour(viewers: int) -> Scenario:
    return Scenario(
        name=f"pour-{viewers}",
        title=f"unthrottled source, {viewers} viewer{'s' if viewers != 1 else ''}",
        kind="pour",
        viewers=viewers,
    )


SCENARIOS = (
    _many_streams(100),
    _many_streams(400, quick=True, extra=(PEER_AS_DOCUMENTED,)),
    _many_streams(800),
    _many_streams(1000, quick=True),
    _many_viewers(1),
    _many_viewers(10),
    _many_viewers(100, quick=True),
    _many_viewers(500, quick=True),
    _many_viewers(1000, quick=True),
    Scenario(
        name="elsewhere-400",
        title="400 streams × 1 viewer on another process",
        kind="paced",
        streams=400,
        processes=2,
    ),
    Scenario(
        name="elsewhere-100",
        title="1 stream × 100 viewers on another process",
        kind="paced",
        viewers=100,
        processes=2,
        quick=False,
    ),
    Scenario(
        name="resume-1",
        title=f"resume of {BACKLOG:,} events, alone",
        kind="resume",
        contenders=(OURS, OURS_COMPACTED, PEER),
    ),
    Scenario(
        name="resume-50",
        title=f"resume of {BACKLOG:,} events, 50 at once",
        kind="resume",
        viewers=50,
        contenders=(OURS, OURS_COMPACTED, PEER),
    ),
    _pour(0),
    _pour(1),
    _pour(10),
    Scenario(name="idle-1000", title="1,000 idle viewers", kind="idle", viewers=1000),
)
