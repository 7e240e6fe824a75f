"""Loads LiteLLM without blocking the event loop.

Importing it takes seconds of CPU, and its first call imports and builds for another second. On the
event loop that would outlast a lease, and running generations would go to another worker. So both
happen in a thread, before the first prompt.
"""

import asyncio
import contextlib
import functools
import sys
import warnings
from typing import Any

_WARM_UP_ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    b'data: {"id":"0","object":"chat.completion.chunk","created":0,"model":"warm-up","choices":'
    b'[{"index":0,"delta":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)


async def load_litellm() -> Any:
    """LiteLLM, imported, silenced and warmed up; only the first call in a process takes time.

    `LITELLM_LOCAL_MODEL_COST_MAP=True` should be in the environment by now (`load_settings` sets
    it): without it the import fetches a price list over the network and logs warnings on failure.
    """
    return await asyncio.to_thread(_import_litellm)


@functools.cache
def _import_litellm() -> Any:
    import litellm as module

    litellm: Any = module  # its settings are not part of its typed interface
    litellm.suppress_debug_info = True  # otherwise it prints ads for its issue tracker
    litellm.turn_off_message_logging = True
    # The default fails an answer that repeats a chunk a hundred times, say a ruler or a test card.
    litellm.REPEATED_STREAMING_CHUNK_LIMIT = sys.maxsize
    # Pydantic warns of LiteLLM's own types when it first sees them.
    warnings.filterwarnings("ignore", message="Item '.*' on TypedDict class", category=UserWarning)
    # A warm-up that fails, say behind a proxy, costs only the time it would have saved.
    with contextlib.suppress(Exception):
        asyncio.run(_warm_up(litellm))
    return litellm


async def _warm_up(litellm: Any) -> None:
    """Make one call to a local server, through the OpenAI route and LiteLLM's wrapper around it."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_WARM_UP_ANSWER)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    async with server:
        stream = await litellm.acompletion(
            model="openai/warm-up",
            api_base=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
            api_key="none",
            messages=[{"role": "user", "content": "hello"}],
            stream=True,
            max_retries=0,
            num_retries=0,
            timeout=5.0,
        )
        async for _ in stream:
            pass
    await close_clients(litellm)


async def close_clients(litellm: Any) -> None:
    """Close the connections that LiteLLM keeps, for every model in the process."""
    await litellm.close_litellm_async_clients()
    await litellm.module_level_aclient.close()  # no longer in the cache after the first flush
    # Clients are cached by the event loop's id: the closed ones would be handed out again.
    litellm.in_memory_llm_clients_cache.flush_cache()
