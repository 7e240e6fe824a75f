"""`/demo …`: how a person or a test tells the demo model what to do."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_COMMAND = "/demo"
MAX_TOKENS = 1_000_000
MAX_RATE = 100_000.0
MAX_PAUSE = 3600.0

USAGE = f"""## The demo model's directives

`{_COMMAND} key=value …` as your whole message; all keys are optional.

| key | meaning | values |
|:----|:--------|:-------|
| `tokens=2000` | how many deltas | 1 … {MAX_TOKENS} |
| `rate=50` | deltas per second; 0 for as fast as possible | 0 … {MAX_RATE:.0f} |
| `seed=1` | which of the texts | anything |
| `pause=5@300` | five seconds of silence after delta 300 | up to {MAX_PAUSE:.0f} seconds |
| `fail=500` | fail after delta 500; *Continue* goes on | 1 … {MAX_TOKENS} |
| `words=1` | delta *i* is `w<i> ` | 0 or 1 |
| `stamp=1` | delta *i* is `<i>@<µs> `, the monotonic time at which it was due | 0 or 1 |

`words` and `stamp` exclude each other.

For example:

```text
{_COMMAND} tokens=2000 rate=100 pause=5@300
```
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Silence after delta number `after`."""

    seconds: float
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Directive:
    """Instructions for the demo model.

    Attributes:
        tokens: How many deltas; None for the text's natural length.
        rate: Deltas per second; 0 for unthrottled, None for a pleasant pace.
        seed: Chooses the text; None for the message itself.
        pause: One silence.
        fail: The number of the delta after which to fail.
        words: Whether delta i is `w<i> `.
        stamp: Whether delta i is `<i>@<µs> `, the time at which it was due.
        problem: What could not be understood, for the reader; the rest is then meaningless.
    """

    tokens: int | None = None
    rate: float | None = None
    seed: str | None = None
    pause: Pause | None = None
    fail: int | None = None
    words: bool = False
    stamp: bool = False
    problem: str | None = None


def parse_directive(message: str) -> Directive | None:
    """The directive in a user's message, or None if there is none.

    Never fails: what cannot be understood becomes the directive's `problem`.
    """
    command, *arguments = message.split() or [""]
    if command != _COMMAND:
        return None
    values: dict[str, Any] = {}
    for argument in arguments:
        key, _, text = argument.partition("=")
        try:
            values[key] = _VALUES[key](text)
        except (KeyError, ValueError):
            return Directive(problem=argument)
    if values.get("words") and values.get("stamp"):
        return Directive(problem="words=1 stamp=1")
    return Directive(**values)


def _count(text: str) -> int:
    return int(_within(int(text), low=1, high=MAX_TOKENS))


def _rate(text: str) -> float:
    return _within(float(text), low=0, high=MAX_RATE)


def _pause(text: str) -> Pause:
    seconds, _, after = text.partition("@")
    return Pause(seconds=_within(float(seconds), low=0, high=MAX_PAUSE), after=_count(after))


def _flag(text: str) -> bool:
    return _within(int(text), low=0, high=1) == 1


def _within(value: float, *, low: float, high: float) -> float:
    if math.isnan(value) or not low <= value <= high:
        msg = f"{value} is not within {low} and {high}"
        raise ValueError(msg)
    return value


_VALUES: dict[str, Callable[[str], Any]] = {
    "tokens": _count,
    "rate": _rate,
    "seed": str,
    "pause": _pause,
    "fail": _count,
    "words": _flag,
    "stamp": _flag,
}
