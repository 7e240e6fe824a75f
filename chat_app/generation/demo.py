"""The built-in model: no key, no network, and an answer worth watching."""

import asyncio
import time
from bisect import bisect_right
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from chat_app.errors import ProviderUnavailable
from chat_app.generation.demo_directive import USAGE, Directive, Pause, parse_directive
from chat_app.generation.demo_text import DemoText, demo_text, plain_text
from chat_app.generation.llm import Delta, Finish, Prompt, Usage

_DEFAULT_RATE = 40.0
_DEFAULT_TOKENS = 400
_YIELD_EVERY = 64  # deltas in a row before the event loop gets a turn


class DemoLLM:
    """Streams a fixed text, chosen by the last message, at the pace of a real model.

    Guarantees (tests/unit/test_demo*.py): the same prompt gets the same answer in every process;
    any prefix of an answer is followed by exactly the rest; the pace follows the clock, so one late
    delta delays no other; the event loop gets its turn at any rate.

    A message that begins with `/demo` is a directive: see `chat_app.generation.demo_directive`.
    """

    name = "demo"

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Keep time with `clock`, in seconds, and `sleep`."""
        self._clock = clock
        self._sleep = sleep

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Delta | Finish]:
        """Answer `prompt`; see `LLM.stream`.

        A pause or failure within the prefix has already happened and is not repeated. A prefix that
        belongs to another text counts by its length.

        Raises:
            ProviderUnavailable: The directive asked for it.
        """
        message = prompt.messages[-1].text if prompt.messages else ""
        directive = parse_directive(message) or Directive()
        script = _script(directive, message=message)
        done, cut = script.position(prompt.prefix)
        schedule = _Schedule(
            start=self._clock(),
            first=done + 1,
            rate=_DEFAULT_RATE if directive.rate is None else directive.rate,
            pause=directive.pause,
        )
        for number in range(done + 1, script.count + 1):
            due = await self._wait_for(number, schedule)
            delta = script.delta(number, due=due)
            if cut:
                delta, cut = Delta(text=delta.text[cut:], repeats=1), 0
            if delta.text:
                yield delta
            if number == directive.fail:
                msg = f"The demo model failed after delta {number}, as it was told to."
                raise ProviderUnavailable(msg)
        yield Finish(usage=_usage(prompt, completion_tokens=max(0, script.count - done)))

    async def _wait_for(self, number: int, schedule: "_Schedule") -> float:
        """Wait until delta `number` is due; return the time at which it was due."""
        due, now = schedule.due(number), self._clock()
        if due > now:
            await self._sleep(due - now)
        elif number % _YIELD_EVERY == 0:
            await self._sleep(0)
        return due if schedule.rate else max(due, self._clock())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Schedule:
    """When each delta is due, on the model's clock."""

    start: float
    first: int
    rate: float
    pause: Pause | None

    def due(self, number: int) -> float:
        due = self.start + ((number - self.first) / self.rate if self.rate else 0.0)
        if self.pause and self.first <= self.pause.after < number:
            due += self.pause.seconds
        return due


class _Script(Protocol):
    """The answer to give: `count` deltas, numbered from 1."""

    count: int

    def delta(self, number: int, *, due: float) -> Delta: ...

    def position(self, prefix: str) -> tuple[int, int]:
        """How many whole deltas `prefix` holds, and how many characters of the next one."""
        ...


def _script(directive: Directive, *, message: str) -> _Script:
    if directive.problem is not None:
        problem = directive.problem.replace("`", "")[:80]
        known = problem == "help"
        return _Prose(plain_text(USAGE if known else f"Unknown directive: `{problem}`.\n\n{USAGE}"))
    if directive.words or directive.stamp:
        return _Numbered(count=directive.tokens or _DEFAULT_TOKENS, stamped=directive.stamp)
    seed = message if directive.seed is None else directive.seed
    return _Prose(demo_text(seed), count=directive.tokens)


class _Prose:
    """A text, repeated until there are enough deltas."""

    def __init__(self, text: DemoText, *, count: int | None = None) -> None:
        self.count = text.natural if count is None else count
        self._pieces = text.pieces

    def delta(self, number: int, *, due: float) -> Delta:
        return self._pieces[(number - 1) % len(self._pieces)]

    def position(self, prefix: str) -> tuple[int, int]:
        ends = list(accumulate(len(piece.text) for piece in self._pieces))
        rounds, length = divmod(len(prefix), ends[-1])
        whole = bisect_right(ends, length)
        cut = length - (ends[whole - 1] if whole else 0)
        return rounds * len(ends) + whole, cut


class _Numbered:
    """`w1 w2 w3 …`, or the number of each delta with the time at which it was due."""

    def __init__(self, *, count: int, stamped: bool) -> None:
        self.count = count
        self._stamped = stamped

    def delta(self, number: int, *, due: float) -> Delta:
        if self._stamped:
            return Delta(text=f"{number}@{round(due * 1_000_000)} ")
        return Delta(text=f"w{number} ")

    def position(self, prefix: str) -> tuple[int, int]:
        whole = prefix.count(" ")
        return whole, len(prefix) - (prefix.rfind(" ") + 1)


def _usage(prompt: Prompt, *, completion_tokens: int) -> Usage:
    words = sum(len(message.text.split()) for message in prompt.messages)
    return Usage(prompt_tokens=words, completion_tokens=completion_tokens)
