"""One run: its turns, their faults one at a time, and whether the laws hold."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import anyio
import httpx
from anyio import to_thread

from tests.chaos import laws
from tests.chaos.schedule import Fault, Turn
from tests.chaos.stage import STALLED, Stage
from tests.chaos.witness import Witness
from tests.support.moment import pause
from tests.support.viewer import Viewer

TURN_TIMEOUT = 120
_RECOVERY_TIMEOUT = 30
_FLOWING = 0.4
"""Seconds since its last text within which an answer flows; undisturbed, text comes every 50 ms."""
_SETTLE = 0.5
"""Seconds a fault has to take effect before an answer can count as recovered."""


@dataclass(kw_only=True)
class Report:
    """The results of a run.

    Attributes:
        broken: Each law that was broken, and where.
        recoveries: By kind of fault, for each fault: the longest time that any viewer was
            without new text, in seconds.
        turns: The number of turns begun.
        complete: Turns for which every law held.
        takeovers: How often a producer took over from another.
        logs: Turns whose log could still be read after their end.
        seconds: How long the run took.
    """

    broken: list[str] = field(default_factory=list[str])
    recoveries: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list[float]))
    turns: int = 0
    complete: int = 0
    takeovers: int = 0
    logs: int = 0
    seconds: float = 0.0

    @property
    def faults(self) -> Counter[str]:
        """How many faults of each kind have struck."""
        return Counter({kind: len(found) for kind, found in self.recoveries.items()})


class Run:
    """Turns in parallel lanes; each triggers its fault when enough of its text has come.

    Faults take turns: the next one strikes once every answer flows again after the one before.
    Losing Redis and a producer at the same time cannot be survived, because then no copy of the
    newest text is left.
    """

    def __init__(self, stage: Stage, http: httpx.AsyncClient, *, tick: Callable[[], None]) -> None:
        self.report = Report()
        self._stage = stage
        self._http = http
        self._tick = tick  # called at the end of each turn
        self._one_at_a_time = anyio.Lock()
        self._viewers: set[Viewer] = set()  # of the answers in progress

    async def turns(self, turns: Sequence[Turn], *, lanes: int, limit: float) -> None:
        """Run all turns, `lanes` at a time; begin none after `limit` seconds."""
        begun = time.monotonic()
        waiting = iter(turns)
        async with anyio.create_task_group() as group:
            for _ in range(lanes):
                group.start_soon(self._lane, waiting, begun + limit)
        if running := await to_thread.run_sync(laws.open_streams, self._stage.folder):
            self.report.broken.append(f"{running} streams were never closed")
        self.report.seconds = time.monotonic() - begun

    async def _lane(self, waiting: Iterator[Turn], deadline: float) -> None:
        for turn in waiting:
            if time.monotonic() > deadline:
                return
            self.report.turns += 1
            broken = await self._turn(turn)
            self.report.complete += not broken
            place = f"turn {turn.number} ({turn.prompt}; {turn.fault.kind})"
            self.report.broken += [f"{place}: {law}" for law in broken]
            self._tick()

    async def _turn(self, turn: Turn) -> list[str]:
        chat, whole = uuid4().hex, await laws.whole_answer(turn.prompt)
        apis = self._stage.apis
        places = [turn.first_server, (turn.first_server + 1) % len(apis)]
        viewers = [Viewer(self._http, *apis[at:], *apis[:at], chat=chat) for at in places]
        asker, follower = viewers
        try:
            with anyio.fail_after(TURN_TIMEOUT):
                async with anyio.create_task_group() as group:
                    self._viewers.add(asker)
                    group.start_soon(asker.ask, turn.prompt)
                    await asker.reached(1)
                    self._viewers.add(follower)
                    group.start_soon(follower.follow)
                    await asker.reached(int(turn.fault.share * len(whole)))
                    await self._strike(turn.fault)
        except TimeoutError:
            got = [f"{len(viewer.text)} of {len(whole)}" for viewer in viewers]
            return [f"did not end within {TURN_TIMEOUT} s; characters seen: {got}"]
        finally:
            self._viewers.difference_update(viewers)
        return await self._judge(chat, whole, viewers)

    async def _strike(self, fault: Fault) -> None:
        async with self._one_at_a_time:
            await self._recovered()
            begun = time.monotonic()
            affected = [viewer for viewer in self._viewers if viewer.text and not viewer.ended]
            await self._stage.strike(fault)
            await pause(_SETTLE)
            await self._recovered()
            silences = [viewer.silence(since=begun) for viewer in affected]
            self.report.recoveries[fault.kind].append(max(silences, default=0.0))

    async def _recovered(self) -> None:
        """Wait until every answer in progress flows, `_RECOVERY_TIMEOUT` seconds at most."""
        with anyio.move_on_after(_RECOVERY_TIMEOUT):
            while not all(map(_flows, self._viewers)):
                await pause(0.02)

    async def _judge(self, chat: str, whole: str, viewers: list[Viewer]) -> list[str]:
        # A fault in progress would disturb these direct reads.
        async with self._one_at_a_time:
            log = await laws.read_log(self._stage.redis.socket_url, viewers[0].stream_id)
            stored = await to_thread.run_sync(laws.read_stored, self._stage.folder, chat)
            lost = self._stage.lost_at > min(viewer.marks[-1] for viewer in viewers) - _FLOWING
        self.report.takeovers += stored.takeovers
        if lost:
            log = []  # Redis may still hold a part of it, from its last save
        self.report.logs += bool(log)
        gone = [] if log or lost else ["its log is gone"]
        return gone + laws.broken(whole, viewers, log, stored)


def _flows(viewer: Viewer) -> bool:
    fresh = bool(viewer.marks) and time.monotonic() - viewer.marks[-1] < _FLOWING
    return viewer.ended or fresh


async def run(
    stage: Stage,
    turns: Sequence[Turn],
    witness: Witness,
    *,
    lanes: int,
    limit: float,
    tick: Callable[[], None],
) -> Report:
    """Run `turns` on `stage`, beginning none after `limit` seconds; return the report."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    timeout = httpx.Timeout(STALLED)
    async with httpx.AsyncClient(timeout=timeout, limits=limits) as http:
        (await http.post(f"{stage.apis[0]}/api/session")).raise_for_status()
        running = Run(stage, http, tick=tick)
        await running.turns(turns, lanes=lanes, limit=limit)
    report = running.report
    report.broken += stage.broken
    report.broken += [f"written by a fenced producer: {each}" for each in witness.fenced]
    report.broken += [f"offset rewritten with other bytes: {each}" for each in witness.rewritten]
    return report
