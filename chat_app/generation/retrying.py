"""Retries, while the store or the database is away, what nothing else would retry."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from chat_app.errors import ChatNotFound, DatabaseUnavailable, Fenced, LogUnavailable, StreamClosed

_logger = logging.getLogger(__name__)

_FIRST_PAUSE = timedelta(milliseconds=100)
_LONGEST_PAUSE = timedelta(seconds=5)
"""Between two attempts; each pause is twice the previous one."""

T = TypeVar("T")


async def retry_until_available(attempt: Callable[[], Awaitable[T]]) -> T:
    """Retry until the database and the store answer: nothing else would, before the next sweep."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return await attempt()
        except (DatabaseUnavailable, LogUnavailable) as error:
            _logger.info("a generation is waiting: %s", error)
        await asyncio.sleep(pause.total_seconds())
        pause = min(2 * pause, _LONGEST_PAUSE)


async def retry_until_saved(save: Callable[[], Awaitable[None]]) -> None:
    """Retry until the database takes the reply: nothing else would save it before the next sweep.

    Cancellation ends the retries; after an earlier one there is a single attempt.
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
                _logger.exception("the reply could not be saved; retrying")
        await asyncio.sleep(pause.total_seconds())
        pause = min(2 * pause, _LONGEST_PAUSE)
