"""Trying again: what nobody else would do while a store or the database is away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from chat_app.errors import ChatNotFound, DatabaseUnavailable, Fenced, LogUnavailable, StreamClosed

_logger = logging.getLogger(__name__)

_FIRST_PAUSE = timedelta(milliseconds=100)
_LONGEST_PAUSE = timedelta(seconds=5)
"""Between two tries; each pause is twice the one before."""

T = TypeVar("T")


async def patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """Try until the database and the store answer: nobody else would, before the next sweep."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return await attempt()
        except (DatabaseUnavailable, LogUnavailable) as error:
            _logger.info("a generation waits to begin: %s", error)
        await asyncio.sleep(pause.total_seconds())
        pause = min(2 * pause, _LONGEST_PAUSE)


async def until_done(save: Callable[[], Awaitable[None]]) -> None:
    """Try again until the database takes the reply: nothing else has all of it.

    Cancellation ends it; one that came before leaves it a single try.
    """
    pause = _FIRST_PAUSE
    while True:
        try:
            return await save()
        except (Fenced, StreamClosed, ChatNotFound):
            raise
        except Exception:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            if pause == _FIRST_PAUSE:
                _logger.exception("the reply could not be saved; trying until it is")
        await asyncio.sleep(pause.total_seconds())
        pause = min(2 * pause, _LONGEST_PAUSE)
