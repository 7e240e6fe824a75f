"""Continues from a prefix, with models that can and with models that must be told to."""

from typing import Any

from chat_app.generation.llm import Prompt

_CONTINUE = (
    "Your answer above was cut off in the middle. Continue it exactly after its last character: "
    "repeat nothing, add no introduction and no remark about the interruption."
)


def request_messages(prompt: Prompt, *, system_prompt: str, prefill: bool) -> list[dict[str, Any]]:
    """The messages for the provider; `prefill` says whether the model accepts a prefix.

    Providers refuse or strip a prefix that ends in white space, so it is sent without: see
    `trailing_space` and `without_repeated`.
    """
    messages: list[dict[str, Any]] = []
    if system_prompt:
        messages.append({"role": "system", "content": system_prompt})
    messages += [{"role": message.role, "content": message.text} for message in prompt.messages]
    prefix = prompt.prefix.rstrip()
    if prefix and prefill:
        messages.append({"role": "assistant", "content": prefix, "prefix": True})
    elif prefix:
        messages.append({"role": "assistant", "content": prefix})
        messages.append({"role": "user", "content": _CONTINUE})
    return messages


def accepts_prefill(litellm: Any, model: str) -> bool:
    """Whether the model continues the assistant's last message by itself.

    Reads LiteLLM's table directly: `get_model_info` calls some providers over the network.
    """
    provider, _, bare = model.rpartition("/")
    table: dict[str, dict[str, Any]] = litellm.model_cost
    named, unprefixed = table.get(model, {}), table.get(bare, {})
    if not named and unprefixed.get("litellm_provider") == provider:
        named = unprefixed
    return bool(named.get("supports_assistant_prefill"))


def trailing_space(prefix: str) -> str:
    """The white space at the end of `prefix`, which the answer may repeat at its beginning."""
    return prefix[len(prefix.rstrip()) :]


def without_repeated(text: str, repeated: str) -> tuple[str, str]:
    """`text` without what it repeats, and what the next text may still repeat.

    Most models begin with the white space that was cut from the prefix; some do not.
    """
    pairs = enumerate(zip(text, repeated, strict=False))
    shorter = min(len(text), len(repeated))
    same = next((index for index, (one, other) in pairs if one != other), shorter)
    return text[same:], repeated[same:] if same == len(text) else ""
