"""The demo model on a clock that advances only when the model waits."""

import asyncio
from collections.abc import Iterable

import pytest

from chat_app.errors import ProviderUnavailable
from chat_app.generation.demo import DemoLLM
from chat_app.generation.llm import Delta, Finish, Prompt, PromptMessage


class SteppedClock:
    """A clock that advances only during a wait, by `late` seconds more than asked for."""

    def __init__(self, *, late: float = 0.0) -> None:
        self.now = 1000.0
        self.waits: list[float] = []
        self._late = late

    def time(self) -> float:
        return self.now

    async def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        if seconds:
            self.now += seconds + self._late


def prompt(text: str, *, prefix: str = "") -> Prompt:
    return Prompt(messages=(PromptMessage(role="user", text=text),), prefix=prefix)


def demo(clock: SteppedClock | None = None) -> DemoLLM:
    clock = clock or SteppedClock()
    return DemoLLM(clock=clock.time, sleep=clock.wait)


async def collect(asked: Prompt, clock: SteppedClock | None = None) -> list[Delta | Finish]:
    return [item async for item in demo(clock).stream(asked)]


async def until_failure(asked: Prompt, clock: SteppedClock | None = None) -> list[Delta | Finish]:
    items: list[Delta | Finish] = []

    async def read() -> None:
        async for item in demo(clock).stream(asked):
            items.append(item)  # noqa: PERF401 - what came before the error is the point

    with pytest.raises(ProviderUnavailable):
        await read()
    return items


async def seen_at(asked: Prompt, clock: SteppedClock) -> list[float]:
    """Return when each delta came, in seconds from the start."""
    start = clock.now
    return [
        clock.now - start async for item in demo(clock).stream(asked) if isinstance(item, Delta)
    ]


def deltas(items: Iterable[Delta | Finish]) -> list[str]:
    return [item.text for item in items if isinstance(item, Delta)]


def text_of(items: Iterable[Delta | Finish]) -> str:
    return "".join(deltas(items))


def answer(text: str, *, prefix: str = "") -> str:
    return text_of(asyncio.run(collect(prompt(text, prefix=prefix))))
