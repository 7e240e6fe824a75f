"""The schedule of a run, drawn in full from its seed before the first turn."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

KINDS = {
    "kill": "a server ends without warning (SIGKILL)",
    "terminate": "a server is told to end (SIGTERM), and started again",
    "freeze": "a server stands still (SIGSTOP), and goes on after its streams were taken over",
    "cut": "all connections through one proxy are reset",
    "deafen": "what a server sends on its streams is lost, and its connections stay",
    "empty": "Redis crashes and comes back with nothing in it",
    "rewind": "Redis crashes and comes back with what it had some moments before",
    "flush": "Redis forgets everything, and its connections stay (FLUSHALL)",
    "pause": "Redis stands still",
    "unplug": "Redis resets every connection to it",
    "lock": "the database takes no writes, for longer than a server waits for its turn",
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
        asks: The number of the server that is asked first; the second viewer starts at the next.
    """

    number: int
    prompt: str
    asks: int
    fault: Fault


def draw(
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
            asks=random.randrange(servers),
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
