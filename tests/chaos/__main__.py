"""`make chaos`: many turns over several servers, while servers, Redis and connections break.

Each turn triggers a fault in mid-answer; afterwards its text is compared with the demo model's, its
log and the database. The seed decides what happens, when and in which order: the same seed gives
the same schedule. The exit status is 1 if a law was broken.
"""

import argparse
import logging
import signal
import sys
import tempfile
from pathlib import Path

import anyio

from bench.progress import Progress
from tests.chaos.report import as_svg, as_text
from tests.chaos.run import Report, run
from tests.chaos.schedule import KINDS, Turn, draw_schedule
from tests.chaos.stage import staged
from tests.chaos.witness import Witness, watching
from tests.support.app_server import ROOT

_RESULTS = ROOT / "test-results"
_SECONDS = (6.0, 12.0)


def main() -> None:
    """Run the turns that the command line asks for."""
    options = _options()
    # SIGTERM ends a run as cleanly as Ctrl-C: every program it started is ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # The run breaks connections on purpose; asyncio need not report them.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    turns = draw_schedule(
        options.seed,
        turns=options.turns,
        servers=options.servers,
        kinds=options.only or list(KINDS),
        seconds=_SECONDS,
    )
    _say(f"seed {options.seed}: {len(turns)} turns over {options.servers} servers")
    if options.show:
        _say("\n".join(map(str, turns)))
        return
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        report, witness = anyio.run(_run, Path(folder), turns, options)
        if report.broken:
            _keep(Path(folder) / "servers.log")
    _RESULTS.mkdir(exist_ok=True)
    chart = _RESULTS / "chaos.svg"
    chart.write_text(as_svg(report, seed=options.seed))
    _say(as_text(report, witness, seed=options.seed))
    _say(f"\nThe chart: {chart.relative_to(ROOT)}")
    sys.exit(1 if report.broken else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos --", description=main.__doc__)
    parser.add_argument("--turns", type=int, choices=range(1, 10_001), default=24, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--servers", type=int, choices=range(2, 9), default=3, metavar="2…8")
    parser.add_argument("--lanes", type=int, choices=range(1, 51), default=4, metavar="1…50")
    parser.add_argument("--minutes", type=float, default=30, help="start no turn after this many")
    parser.add_argument("--only", action="append", choices=list(KINDS), help="may be repeated")
    parser.add_argument("--show", action="store_true", help="show the schedule and exit")
    return parser.parse_args()


async def _run(
    folder: Path, turns: tuple[Turn, ...], options: argparse.Namespace
) -> tuple[Report, Witness]:
    progress = Progress(len(turns))

    def tick() -> None:
        progress.begin(f"seed {options.seed}")
        progress.end()

    try:
        async with staged(folder, servers=options.servers) as stage:
            with watching(stage.redis.port) as witness:
                report = await run(
                    stage,
                    turns,
                    witness,
                    lanes=options.lanes,
                    limit=60 * options.minutes,
                    tick=tick,
                )
                return report, witness
    finally:
        progress.close()


def _keep(log: Path) -> None:
    _RESULTS.mkdir(exist_ok=True)
    kept = _RESULTS / "chaos-servers.log"
    kept.write_bytes(log.read_bytes())
    _say(f"The servers' log: {kept.relative_to(ROOT)}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
