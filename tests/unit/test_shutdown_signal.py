"""What happens in the process when it is told to stop."""

import asyncio
import signal
from collections.abc import Iterator

import anyio
import pytest

from chat_app.shutdown import on_shutdown_signal

pytestmark = pytest.mark.anyio

TOO_LONG = 5


@pytest.fixture
def server() -> Iterator[list[int]]:
    """The signals that reach the handler the server has installed."""
    heard: list[int] = []
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda got, _frame: heard.append(got)) for number in numbers]
    yield heard
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_reaches_both_the_application_and_the_server(
    server: list[int], number: signal.Signals
) -> None:
    told = asyncio.Event()

    with on_shutdown_signal(told.set):
        signal.raise_signal(number)
        with anyio.fail_after(TOO_LONG):
            await told.wait()

    assert server == [number]


async def test_the_server_hears_of_the_first_signal_alone(server: list[int]) -> None:
    with on_shutdown_signal(lambda: None):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)

    assert server == [signal.SIGINT]


async def test_signals_are_the_servers_again_once_the_application_has_ended(
    server: list[int],
) -> None:
    with on_shutdown_signal(lambda: None):
        pass

    signal.raise_signal(signal.SIGTERM)

    assert server == [signal.SIGTERM]
