"""Every real provider, through LiteLLM.

LiteLLM resolves the model string (`openai/gpt-…`, `anthropic/claude-…`, `ollama/…`), finds the
keys and speaks to the provider. No other package imports it.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from datetime import timedelta
from typing import Any

from chat_app.errors import InvalidSettings, ProviderUnavailable
from chat_app.generation.litellm_load import close_clients, load_litellm
from chat_app.generation.litellm_prefix import (
    accepts_prefill,
    request_messages,
    trailing_space,
    without_repeated,
)
from chat_app.generation.llm import Delta, Finish, FinishReason, Prompt, Usage
from chat_app.generation.provider_errors import translated

_FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content-filter",
    "tool_calls": "tool-calls",
    "function_call": "tool-calls",
    # Spellings of providers that are OpenAI-compatible except for this
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_length": "length",
}


class LiteLLMModel:
    """A model from any provider that LiteLLM knows.

    Guarantees (tests/integration/providers): nothing is retried, because half a stream cannot be;
    a stream that breaks off is an error and never a `Finish`; closing the iterator closes the
    connection to the provider; no error text contains a key or the provider's own words.

    Attributes:
        name: The model string.
    """

    def __init__(
        self,
        model: str,
        *,
        system_prompt: str,
        api_base: str | None = None,
        api_key: str | None = None,
        request_timeout: timedelta,
        idle_timeout: timedelta,
    ) -> None:
        """Store the settings; nothing is imported and no request is made.

        Args:
            model: LiteLLM's model string.
            system_prompt: Precedes every chat; empty for none.
            api_base: Replaces the provider's own address.
            api_key: Replaces the key that LiteLLM finds in the environment.
            request_timeout: The longest wait for the provider to accept a request.
            idle_timeout: The longest silence within an answer. A provider's keep-alives count as
                silence.
        """
        self.name = model
        self._system_prompt = system_prompt
        self._api_base = api_base
        self._api_key = api_key
        self._request_timeout = request_timeout.total_seconds()
        self._idle_timeout = idle_timeout.total_seconds()

    async def load(self) -> None:
        """Import LiteLLM in a thread, so that the first prompt does not wait seconds for it.

        Raises:
            InvalidSettings: LiteLLM knows no provider for this model string.
        """
        litellm = await load_litellm()
        try:
            litellm.get_llm_provider(self.name, api_base=self._api_base)
        except Exception as error:
            msg = f"CHAT_MODEL: no provider known for {self.name!r}; write provider/model"
            raise InvalidSettings(msg) from error

    async def close(self) -> None:
        """Close the pooled connections to providers, for every model in the process."""
        await close_clients(await load_litellm())

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Delta | Finish]:
        """Answer `prompt`; see `LLM.stream`."""
        litellm = await load_litellm()
        source = await self._open(litellm, prompt)
        items = self._read(litellm, source, repeated=trailing_space(prompt.prefix))
        try:
            async with aclosing(items):
                async for item in items:
                    yield item
        finally:
            # The SDK's stream has close(), LiteLLM's has aclose().
            await (source.close() if hasattr(source, "close") else source.aclose())

    async def _open(self, litellm: Any, prompt: Prompt) -> Any:
        """Send the request and return the provider's chunks."""
        try:
            async with asyncio.timeout(self._request_timeout):
                wrapper = await litellm.acompletion(
                    model=self.name,
                    messages=request_messages(
                        prompt,
                        system_prompt=self._system_prompt,
                        prefill=accepts_prefill(litellm, self.name),
                    ),
                    stream=True,
                    stream_options={"include_usage": True},
                    api_base=self._api_base,
                    api_key=self._api_key,
                    num_retries=0,
                    max_retries=0,
                    # Only a backstop: longer than our own two timeouts, which fire first.
                    timeout=self._request_timeout + self._idle_timeout,
                )
        except Exception as error:
            raise translated(error, litellm=litellm) from error
        return _cheapest_source(wrapper)

    async def _read(
        self, litellm: Any, source: Any, *, repeated: str
    ) -> AsyncGenerator[Delta | Finish]:
        """Yield deltas, then `Finish`; drop `repeated` if the answer begins with it."""
        reason: FinishReason | None = None
        usage: Usage | None = None
        while (chunk := await self._next(litellm, source)) is not None:
            usage = _usage(chunk) or usage
            reason = _finish_reason(chunk) or reason
            for delta in _deltas(chunk):
                if repeated and delta.kind == "text":
                    text, repeated = without_repeated(delta.text, repeated)
                    yield Delta(text=text, repeats=int(text != delta.text))
                else:
                    yield delta
        if reason is None or _finish_reason_invented(source):
            msg = "The model provider broke off in the middle of the answer."
            raise ProviderUnavailable(msg)
        yield Finish(reason=reason, usage=usage)

    async def _next(self, litellm: Any, source: Any) -> Any | None:
        """The next chunk; None at the end."""
        try:
            async with asyncio.timeout(self._idle_timeout):
                return await anext(source)
        except StopAsyncIteration:
            return None
        except Exception as error:
            raise translated(error, litellm=litellm) from error


def _cheapest_source(wrapper: Any) -> Any:
    """The OpenAI SDK's own stream if there is one, else LiteLLM's wrapper.

    Most providers go through the SDK, and its chunks have the same shape as the wrapper's. The
    wrapper costs six times as much CPU per chunk (380 against 60 µs), invents a finish reason for a
    stream that was cut, and by default fails an answer that repeats a chunk a hundred times.
    """
    import openai

    if isinstance(getattr(wrapper, "completion_stream", None), openai.AsyncStream):
        return wrapper.completion_stream
    return wrapper


def _finish_reason_invented(source: Any) -> bool:
    """Whether LiteLLM's wrapper invented the finish reason, as it does for a stream cut short."""
    names = ("received_finish_reason", "intermittent_finish_reason")
    return hasattr(source, names[0]) and not any(getattr(source, name, None) for name in names)


def _deltas(chunk: Any) -> Iterator[Delta]:
    """The text in `chunk`; anything else in it is ignored."""
    delta = getattr(_choice(chunk), "delta", None)
    # LiteLLM and DeepSeek call it reasoning_content, OpenRouter and newer vLLM call it reasoning.
    reasoning = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None)
    if isinstance(reasoning, str) and reasoning:
        yield Delta(text=reasoning, kind="reasoning")
    text = getattr(delta, "content", None)
    if isinstance(text, str) and text:
        yield Delta(text=text)


def _finish_reason(chunk: Any) -> FinishReason | None:
    reason = getattr(_choice(chunk), "finish_reason", None)
    return _FINISH_REASONS.get(str(reason).lower(), "other") if reason else None


def _choice(chunk: Any) -> Any | None:
    try:
        return chunk.choices[0]
    except (AttributeError, LookupError, TypeError):
        return None


def _usage(chunk: Any) -> Usage | None:
    counts = getattr(chunk, "usage", None)
    prompt, completion = (
        getattr(counts, name, None) for name in ("prompt_tokens", "completion_tokens")
    )
    if isinstance(prompt, int) and isinstance(completion, int):
        return Usage(prompt_tokens=prompt, completion_tokens=completion)
    return None
