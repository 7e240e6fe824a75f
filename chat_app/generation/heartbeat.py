"""A worker that does not ask for work any more: its connection is dead and does not say so."""

import asyncio
import logging
from datetime import timedelta
from typing import Any

from docket import Docket, Worker

from chat_app.streams.outages import STORE_ERRORS

_logger = logging.getLogger(__name__)


async def watch(docket: Docket, worker: Worker, *, patience: timedelta) -> None:
    """Break the worker's connections whenever the store answers, but has not heard of it for long.

    The queue waits for its store without a limit, as long as a connection seems to live. One that
    was dropped on the way, without a word to either end, seems to live for a quarter of an hour.
    With its connections broken the worker makes new ones.

    Runs until cancelled; not at all for a queue in this process, which has no connections, or on a
    cluster, whose nodes are out of reach here.

    Args:
        docket: The queue.
        worker: What works on it here, several times a second.
        patience: For one answer of the store; and with the worker.
    """
    async with docket.redis() as shared:
        client: Any = shared  # whichever there is
    if getattr(client, "connection_pool", None) is None:
        return
    while True:
        await asyncio.sleep((patience + worker.reconnection_delay).total_seconds())
        try:
            await _look_after(docket, worker, client, patience=patience)
        except STORE_ERRORS as error:
            _logger.info("the task queue does not answer: %r", error)
        except Exception:  # outermost frame of its task
            _logger.exception("looking after the worker failed; trying again")


async def _look_after(docket: Docket, worker: Worker, client: Any, *, patience: timedelta) -> None:
    pool, group = client.connection_pool, docket.worker_group_name
    try:
        async with asyncio.timeout(patience.total_seconds()):
            consumers = await client.xinfo_consumers(docket.stream_key, group)
    except TimeoutError:
        # The connection that was asked may be dead itself, and so may others that are idle.
        await pool.disconnect(inuse_connections=False)
        raise
    idle = next((each["idle"] for each in consumers if each["name"] == worker.name.encode()), 0)
    # It may be about to connect anew by itself.
    if timedelta(milliseconds=idle) > patience + worker.reconnection_delay:
        _logger.warning("the worker's connection seems to be dead; connecting anew")
        await pool.disconnect()
