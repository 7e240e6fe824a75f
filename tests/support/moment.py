"""Letting time go by: for a fault that lasts, and for a client that waits before it asks again."""

import asyncio


async def pause(seconds: float) -> None:
    """Return after so long; nothing that could happen meanwhile would be a reason to do so earlier."""
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    timer = loop.call_later(seconds, over.set_result, None)
    try:
        await over
    finally:
        timer.cancel()
