"""Rate limits: counted across all processes, and suspended while the store is away."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from limits.aio.storage import MemoryStorage

from chat_app.errors import RateLimited
from chat_app.identity.identity import Identity, UserId
from chat_app.rates import RateLimits, Rates, open_rates
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio

ALICE, BOB = Identity(user_id=UserId("alice")), Identity(user_id=UserId("bob"))
LIMITS = RateLimits(prompts=3, requests=5, guests=2)
TOO_LONG = 10


@pytest.fixture(params=["memory", "redis"])
async def processes(request: pytest.FixtureRequest) -> AsyncGenerator[tuple[Rates, Rates]]:
    """The rates of two processes that share a store; with `memory://`, the same one twice."""
    url = "memory://" if request.param == "memory" else request.getfixturevalue("redis_url")
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(
            open_rates(url, LIMITS, prefix="test", patience=TOO_LONG)
        )
        if url == "memory://":
            yield here, here
        else:
            yield (
                here,
                await stack.enter_async_context(
                    open_rates(url, LIMITS, prefix="test", patience=TOO_LONG)
                ),
            )


async def test_a_request_over_the_limit_is_refused_in_every_process(
    processes: tuple[Rates, Rates],
) -> None:
    here, elsewhere = processes
    for _ in range(2):
        await here.prompt(ALICE)
    await elsewhere.prompt(ALICE)

    for rates in processes:
        with pytest.raises(RateLimited, match="at most 3 prompts per minute") as refused:
            await rates.prompt(ALICE)
        assert timedelta(0) < refused.value.retry_after <= timedelta(minutes=2)


async def test_each_user_and_each_kind_is_counted_separately(
    processes: tuple[Rates, Rates],
) -> None:
    here, _ = processes
    for _ in range(3):
        await here.prompt(ALICE)

    await here.prompt(BOB)
    await here.request(ALICE)
    for _ in range(2):
        await here.guest("127.0.0.1")
    with pytest.raises(RateLimited):
        await here.guest("127.0.0.1")
    await here.guest("127.0.0.2")


async def test_nothing_without_a_limit_is_counted() -> None:
    async with open_rates("memory://", RateLimits(), prefix="test") as rates:
        for _ in range(1000):
            await rates.prompt(ALICE)


async def test_requests_at_once_are_all_counted(processes: tuple[Rates, Rates]) -> None:
    here, elsewhere = processes
    refused: list[RateLimited] = []

    async def ask(rates: Rates) -> None:
        try:
            await rates.request(ALICE)
        except RateLimited as error:
            refused.append(error)

    with anyio.fail_after(TOO_LONG):
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(ask, here)
                tasks.start_soon(ask, elsewhere)

    assert len(refused) == 95


async def test_a_store_that_is_away_refuses_nobody_and_holds_nobody_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = RedisServer(folder=tmp_path)
    own.start()
    try:
        async with open_rates(own.url, LIMITS, prefix="test") as rates:
            await rates.prompt(ALICE)
            own.pause()
            with anyio.fail_after(TOO_LONG):
                for _ in range(100):
                    await rates.prompt(ALICE)
            own.kill()
            await rates.prompt(ALICE)
    finally:
        own.close()

    assert [record.message for record in caplog.records if "suspended" in record.message]


async def test_a_burst_gets_nobody_past_the_limits(redis_url: str) -> None:
    allowed = 0

    async def ask(rates: Rates) -> None:
        nonlocal allowed
        with suppress(RateLimited):
            await rates.request(ALICE)
            allowed += 1

    async with open_rates(redis_url, LIMITS, prefix="test", patience=TOO_LONG) as rates:
        with anyio.fail_after(2 * TOO_LONG):
            async with anyio.create_task_group() as tasks:
                for _ in range(1000):
                    tasks.start_soon(ask, rates)

    assert allowed == 5


async def test_a_burst_at_a_store_that_is_away_is_let_through_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = RedisServer(folder=tmp_path)
    own.start()
    try:
        async with open_rates(own.url, LIMITS, prefix="test") as rates:
            await rates.prompt(ALICE)
            own.pause()
            with anyio.fail_after(TOO_LONG):
                async with anyio.create_task_group() as tasks:
                    for _ in range(200):
                        tasks.start_soon(rates.prompt, ALICE)
            own.kill()
    finally:
        own.close()

    assert len([record for record in caplog.records if "suspended" in record.message]) == 1


class HeldStorage(MemoryStorage):
    """A storage that answers only once `may_answer` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = anyio.Event()

    async def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        await self.may_answer.wait()
        return await super().acquire_sliding_window_entry(key, limit, expiry, amount)


async def test_only_requests_that_would_wait_too_long_to_be_counted_are_refused() -> None:
    storage = HeldStorage()
    rates = Rates(storage, RateLimits(requests=100), patience=TOO_LONG, queue_timeout=0.01)
    refused: list[RateLimited] = []
    all_refused = anyio.Event()

    async def ask() -> None:
        try:
            await rates.request(ALICE)
        except RateLimited as error:
            refused.append(error)
            if len(refused) == 4:
                all_refused.set()

    with anyio.fail_after(TOO_LONG):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(ask)
            await all_refused.wait()
            storage.may_answer.set()
        await rates.request(ALICE)

    assert len(refused) == 4
    assert {error.retry_after for error in refused} == {timedelta(seconds=1)}
