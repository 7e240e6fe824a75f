"""Rate limits, counted across all processes that share a store."""

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

_PATIENCE = 0.5  # seconds a request waits for a store that does not answer
_SUSPENSION = 5.0  # seconds without counting after that
_QUEUE_TIMEOUT = 2.0  # seconds a request waits for its turn to be counted, on top of the patience
_RETRY_AFTER = timedelta(seconds=1)

Kind = Literal["prompts", "requests", "guests"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """What is allowed per minute; 0 means no limit.

    Attributes:
        prompts: Per user.
        requests: Per user, including prompts sent through the API.
        guests: New guests per address.
    """

    prompts: int = 0
    requests: int = 0
    guests: int = 0


class Rates:
    """Counts requests in a sliding window.

    While the store does not answer, every request is let through: whether a prompt can be accepted
    is decided elsewhere. If it answers, but too slowly for a burst, the end of the burst is
    refused: sending more at once than can be counted does not get around the limits.

    All methods raise:
        RateLimited: The limit is reached; carries `retry_after`.

    Args:
        storage: Where the counters are.
        limits: What is allowed.
        patience: Seconds to wait for one answer from the store.
        queue_timeout: Seconds a request waits for its turn to be counted; more than `patience`, so
            that requests queued behind one that finds the store down are let through.
    """

    def __init__(
        self,
        storage: MemoryStorage | RedisStorage | RedisClusterStorage,
        limits: RateLimits,
        *,
        patience: float = _PATIENCE,
        queue_timeout: float = _QUEUE_TIMEOUT,
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
        self._queue_timeout = queue_timeout
        self._suspended_until = 0.0
        # Counting a request takes a connection; a burst must not open one for each request.
        self._slots = asyncio.Semaphore(16)

    async def prompt(self, identity: Identity) -> None:
        """Count a prompt, or any other request that calls the model."""
        await self._count("prompts", identity.user_id)

    async def request(self, identity: Identity) -> None:
        """Count a request of any kind."""
        await self._count("requests", identity.user_id)

    async def guest(self, address: str) -> None:
        """Count a new guest from an address."""
        await self._count("guests", address)

    async def _count(self, kind: Kind, who: str) -> None:
        item = self._items.get(kind)
        if item is None or self._suspended:
            return
        try:
            async with asyncio.timeout(self._queue_timeout):
                await self._slots.acquire()
        except TimeoutError:
            raise RateLimited("too many requests at once", retry_after=_RETRY_AFTER) from None
        try:
            wait = None if self._suspended else await self._hit(item, who)
        finally:
            self._slots.release()
        if wait is not None:
            raise RateLimited(f"at most {item.amount} {kind} per minute", retry_after=wait)

    async def _hit(self, item: RateLimitItem, who: str) -> timedelta | None:
        """Count one more; return how long to wait, or None if it is allowed or not countable."""
        try:
            async with asyncio.timeout(self._patience):
                if await self._limiter.hit(item, who):
                    return None
                window = await self._limiter.get_window_stats(item, who)
        except (StorageError, TimeoutError) as error:
            if not self._suspended:
                self._suspended_until = time.monotonic() + _SUSPENSION
                _logger.warning("rate limits are suspended: %r", error)
            return None
        return timedelta(seconds=max(1.0, window.reset_time - time.time()))

    @property
    def _suspended(self) -> bool:
        return time.monotonic() < self._suspended_until


@asynccontextmanager
async def open_rates(
    url: str, limits: RateLimits, *, prefix: str, patience: float = _PATIENCE
) -> AsyncGenerator[Rates]:
    """Open counters in the store at `url`; for `memory://` they are this process's own.

    Args:
        url: The URL of the store, as in the settings.
        limits: What is allowed.
        prefix: The start of every key.
        patience: Seconds to wait for one answer from the store.
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
        yield Rates(storage, limits, patience=patience, queue_timeout=patience + _QUEUE_TIMEOUT)
    finally:
        await cast("Any", storage.bridge).storage.aclose()
