"""How often somebody may ask, counted over all processes that share a store."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, cast

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisClusterStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError

from chat_app.errors import RateLimited
from chat_app.identity.identity import Identity

_logger = logging.getLogger(__name__)

_PATIENCE = 0.5  # seconds a request is held up by a store that does not answer
_BLIND = 5.0  # seconds nobody is counted after that
_QUEUING = 2.0  # seconds a request waits for its turn to be counted, beyond the store's patience
_COME_BACK = timedelta(seconds=1)

Kind = Literal["prompts", "requests", "guests"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """What is allowed in a minute; 0 allows everything.

    Attributes:
        prompts: Of one user.
        requests: Of one user, prompts included.
        guests: New ones, from one address.
    """

    prompts: int = 0
    requests: int = 0
    guests: int = 0


class Rates:
    """Counts what is asked, in a window that slides.

    A store that does not answer refuses nobody: whether a prompt can be taken is not decided here.
    A burst that the store answers, but not fast enough, is refused from its end: nobody gets past
    the limits by asking more at once than can be counted.

    All methods raise:
        RateLimited: Too much was asked; carries when to come back.

    Args:
        storage: Where the counters are.
        limits: What is allowed.
        patience: Seconds for one answer of the store.
        queuing: Seconds to wait for those that are counted before; more than `patience`, so that
            whoever waits for a store that is away is let through.
    """

    def __init__(
        self,
        storage: MemoryStorage | RedisStorage | RedisClusterStorage,
        limits: RateLimits,
        *,
        patience: float = _PATIENCE,
        queuing: float = _QUEUING,
    ) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        allowed: dict[Kind, int] = {
            "prompts": limits.prompts,
            "requests": limits.requests,
            "guests": limits.guests,
        }
        self._items = {
            kind: RateLimitItemPerMinute(amount, namespace=kind)
            for kind, amount in allowed.items()
            if amount
        }
        self._patience = patience
        self._queuing = queuing
        self._blind_until = 0.0
        # Each request in flight holds a connection; a burst must not open one for each.
        self._few = asyncio.Semaphore(16)

    async def prompt(self, identity: Identity) -> None:
        """Count a prompt, or whatever else has the model asked."""
        await self._count("prompts", identity.user_id)

    async def request(self, identity: Identity) -> None:
        """Count a request of any kind."""
        await self._count("requests", identity.user_id)

    async def guest(self, address: str) -> None:
        """Count a new guest from an address."""
        await self._count("guests", address)

    async def _count(self, kind: Kind, who: str) -> None:
        item = self._items.get(kind)
        if item is None or self._blind:
            return
        try:
            async with asyncio.timeout(self._queuing):
                await self._few.acquire()
        except TimeoutError:
            raise RateLimited("too many requests at once", retry_after=_COME_BACK) from None
        try:
            wait = None if self._blind else await self._wait_after(item, who)
        finally:
            self._few.release()
        if wait is not None:
            raise RateLimited(f"at most {item.amount} {kind} in a minute", retry_after=wait)

    async def _wait_after(self, item: RateLimitItem, who: str) -> timedelta | None:
        """Count one more: how long to stay away, or None if it is allowed, or nobody knows."""
        try:
            async with asyncio.timeout(self._patience):
                if await self._limiter.hit(item, who):
                    return None
                window = await self._limiter.get_window_stats(item, who)
        except (StorageError, TimeoutError) as error:
            if not self._blind:
                self._blind_until = time.monotonic() + _BLIND
                _logger.warning("nobody is being counted: %r", error)
            return None
        return timedelta(seconds=max(1.0, window.reset_time - time.time()))

    @property
    def _blind(self) -> bool:
        return time.monotonic() < self._blind_until


@asynccontextmanager
async def open_rates(
    url: str, limits: RateLimits, *, prefix: str, patience: float = _PATIENCE
) -> AsyncGenerator[Rates]:
    """Counters in the store at `url`; those of `memory://` are this process' own.

    Args:
        url: Of the store, as in the settings.
        limits: What is allowed.
        prefix: Begins every key.
        patience: Seconds for one answer of the store.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "memory":
        yield Rates(MemoryStorage(), limits)
        return
    if scheme == "unix":
        scheme = "redis+unix"
    cluster = scheme.endswith("+cluster")
    kind = RedisClusterStorage if cluster else RedisStorage
    storage = kind(
        f"async+{scheme}://{rest}",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix=f"{prefix}-rates",
        **({"ssl": True} if cluster and scheme.startswith("rediss") else {}),
    )
    try:
        yield Rates(storage, limits, patience=patience, queuing=patience + _QUEUING)
    finally:
        await cast("Any", storage.bridge).storage.aclose()
