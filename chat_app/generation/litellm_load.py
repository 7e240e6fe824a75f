"""Bringing LiteLLM into the process without stopping the event loop.

Importing it takes seconds of CPU, and the first call imports and builds for another second: on
the loop that is longer than a lease, and running generations would go to another worker. So both
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
    """LiteLLM, imported, quiet and warm; only the first call of a process takes time.

    `LITELLM_LOCAL_MODEL_COST_MAP=True` should be in the environment by now (`load_settings` sees
    to it): without it the import fetches a price list over the network and logs warnings when it
    cannot.
    """
    return await asyncio.to_thread(_import_litellm)


@functools.cache
def _import_litellm() -> Any:
    import litellm as module

    litellm: Any = module  # its settings are no part of its typed interface
    litellm.suppress_debug_info = True  # else it prints advertisements for its issue tracker
    litellm.turn_off_message_logging = True
    # It would fail an answer that repeats a chunk a hundred times, such as a ruler or a test card.
    litellm.REPEATED_STREAMING_CHUNK_LIMIT = sys.maxsize
    # Said of LiteLLM's own types, whenever pydantic first looks at them.
    warnings.filterwarnings("ignore", message="Item '.*' on TypedDict class", category=UserWarning)
    # A warm-up that fails, say behind a proxy, costs no more than the time it was to save.
    with contextlib.suppress(Exception):
        asyncio.run(_warm_up(litellm))
    return litellm


async def _warm_up(litellm: Any) -> None:
    """One call to a server of our own, over the OpenAI route and LiteLLM's wrapper above it."""

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
    """Close the connections LiteLLM keeps, for every model of the process."""
    await litellm.close_litellm_async_clients()
    await litellm.module_level_aclient.close()  # no longer in the cache after the first flush
    # It would hand out the closed clients again: they are cached by the id of the event loop.
    litellm.in_memory_llm_clients_cache.flush_cache()
