"""Waiting a fixed time: for a fault that lasts, and for a client that retries after a pause."""

import asyncio


async def pause(seconds: float) -> None:
    """Wait for a fixed time that no event could shorten."""
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    timer = loop.call_later(seconds, over.set_result, None)
    try:
        await over
    finally:
        timer.cancel()
