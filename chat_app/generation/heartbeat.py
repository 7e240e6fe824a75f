"""Detects a worker that no longer asks for work because its connection is silently dead."""

import asyncio
import logging
from datetime import timedelta
from typing import Any

from docket import Docket, Worker

from chat_app.streams.outages import STORE_ERRORS

_logger = logging.getLogger(__name__)


async def watch(docket: Docket, worker: Worker, *, patience: timedelta) -> None:
    """Break the worker's connections if the store answers but has not heard from it for too long.

    Docket waits for the store without a limit while a connection seems alive. A connection that the
    network dropped without telling either end seems alive for a quarter of an hour. Once its
    connections are broken, the worker makes new ones.

    Runs until cancelled. Returns at once for an in-process queue, which has no connections, and for
    a cluster, whose nodes cannot be reached from here.

    Args:
        docket: The queue.
        worker: This process's worker, which asks the queue for work several times a second.
        patience: The longest wait for an answer from the store, and for the worker to ask.
    """
    async with docket.redis() as shared:
        client: Any = shared  # of a server, a cluster or this process
    if getattr(client, "connection_pool", None) is None:
        return
    while True:
        await asyncio.sleep((patience + worker.reconnection_delay).total_seconds())
        try:
            await _check_worker(docket, worker, client, patience=patience)
        except STORE_ERRORS as error:
            _logger.info("the task queue does not answer: %r", error)
        except Exception:  # outermost frame of its task
            _logger.exception("checking the worker's connection failed; retrying")


async def _check_worker(
    docket: Docket, worker: Worker, client: Any, *, patience: timedelta
) -> None:
    pool, group = client.connection_pool, docket.worker_group_name
    try:
        async with asyncio.timeout(patience.total_seconds()):
            consumers = await client.xinfo_consumers(docket.stream_key, group)
    except TimeoutError:
        # The connection that asked may be dead itself, and so may other idle ones.
        await pool.disconnect(inuse_connections=False)
        raise
    idle = next((each["idle"] for each in consumers if each["name"] == worker.name.encode()), 0)
    # The worker may be about to reconnect by itself.
    if timedelta(milliseconds=idle) > patience + worker.reconnection_delay:
        _logger.warning("the worker's connection seems to be dead; reconnecting")
        await pool.disconnect()
