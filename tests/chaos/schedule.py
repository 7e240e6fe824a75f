"""The schedule of a run, drawn in full from its seed before the first turn."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

KINDS = {
    "kill": "a server is killed without warning (SIGKILL)",
    "terminate": "a server is told to stop (SIGTERM), then restarted",
    "freeze": "a server is frozen (SIGSTOP), and resumes after its streams were taken over",
    "cut": "all connections through one proxy are reset",
    "swallow": "what a server sends on its streams is lost, while its connections stay open",
    "empty": "Redis crashes and comes back empty",
    "rewind": "Redis crashes and comes back with an older copy of its data",
    "flush": "Redis forgets everything (FLUSHALL), while its connections stay open",
    "pause": "Redis is frozen",
    "unplug": "every connection to Redis is reset",
    "lock": "the database accepts no writes, for longer than a server waits for its turn",
}

# Seconds. A server stays frozen long enough for its streams to be taken over.
_LASTING = {"freeze": (3.0, 4.5), "lock": (2.0, 4.0)}
_PAUSE = (0.5, 2.0)
_RATES = (20, 30, 50)
_SHARE = (0.05, 0.6)  # of the text; a fault late in an answer would mostly strike after its end


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
        kind: One of `KINDS`.
        server: The number of the server, or of its proxy, for the kinds that break one.
        seconds: How long the fault lasts, for the kinds that last.
        share: The share of its turn's text after which it strikes.
    """

    kind: str
    server: int
    seconds: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A prompt, and the fault that its answer triggers.

    Attributes:
        first_server: The number of the server asked first; the second viewer starts at the next.
    """

    number: int
    prompt: str
    first_server: int
    fault: Fault


def draw_schedule(
    seed: int, *, turns: int, servers: int, kinds: Sequence[str], seconds: tuple[float, float]
) -> tuple[Turn, ...]:
    """Draw the turns of a run; the same arguments give the same turns.

    Args:
        seed: The seed of all random choices.
        turns: The number of turns.
        servers: The number of servers.
        kinds: The kinds of faults; each comes as often as any other, give or take one.
        seconds: The shortest and the longest duration of an undisturbed answer.
    """
    random = Random(seed)
    drawn = [kinds[number % len(kinds)] for number in range(turns)]
    random.shuffle(drawn)
    return tuple(
        Turn(
            number=number,
            prompt=_prompt(random, seconds=random.uniform(*seconds)),
            first_server=random.randrange(servers),
            fault=Fault(
                kind=kind,
                server=random.randrange(servers),
                seconds=random.uniform(*_LASTING.get(kind, _PAUSE)),
                share=random.uniform(*_SHARE),
            ),
        )
        for number, kind in enumerate(drawn, start=1)
    )


def _prompt(random: Random, *, seconds: float) -> str:
    """Draw a prompt: half of the answers are numbered words, half are prose with varied Unicode."""
    rate = random.choice(_RATES)
    text = random.choice(["words=1", f"seed={random.randrange(1_000_000)}"])
    return f"/demo tokens={round(rate * seconds)} rate={rate} {text}"
