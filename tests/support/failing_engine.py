"""A working engine that fails where a test tells it to."""

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from chat_app.streams.engine import Engine
from chat_app.streams.subscription import Subscription


class Unforeseen(Exception):
    """An error that no code under test anticipates."""


class FailingEngine(Engine):
    """Delegates to another engine, or raises `Unforeseen` when told to.

    Attributes:
        shared: As in the other engine.
        failures: How many more times each method raises; `next` is a subscription's method.
    """

    def __init__(self, engine: Engine) -> None:
        self.shared = engine.shared
        self.failures: Counter[str] = Counter()
        self._inner = engine

    def fail(self, name: str) -> None:
        """Raise if `name` has a failure left, and use it up."""
        if self.failures[name]:
            self.failures[name] -= 1
            raise Unforeseen(name)

    async def run(self, script: str, *, keys: Any, args: Sequence[str | bytes]) -> Any:
        self.fail("run")
        return await self._inner.run(script, keys=keys, args=args)

    async def append(self, *args: Any, **named: Any) -> Any:
        self.fail("append")
        return await self._inner.append(*args, **named)

    async def frames(self, key: str, *, after: int, limit: int) -> list[bytes]:
        return await self._inner.frames(key, after=after, limit=limit)

    @asynccontextmanager
    async def subscription(self) -> AsyncGenerator[Subscription]:
        async with self._inner.subscription() as subscription:
            yield FailingSubscription(subscription, self)


class FailingSubscription(Subscription):
    """A subscription of a `FailingEngine`."""

    def __init__(self, subscription: Subscription, engine: FailingEngine) -> None:
        self._inner = subscription
        self._engine = engine

    @property
    def heard_at(self) -> float:
        return self._inner.heard_at

    async def add(self, *channels: str) -> None:
        await self._inner.add(*channels)

    async def ping(self) -> None:
        await self._inner.ping()

    async def next(self) -> tuple[str, bytes | None]:
        message = await self._inner.next()
        self._engine.fail("next")
        return message

    async def aclose(self) -> None:
        await self._inner.aclose()
