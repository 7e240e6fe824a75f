"""What a language model is to this application: a stream of deltas that can continue a prefix."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal, Protocol

FinishReason = Literal["stop", "length", "content-filter", "tool-calls", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptMessage:
    """One earlier message of the chat, as the model sees it."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What the model is asked.

    Attributes:
        messages: The chat so far, oldest first; the last one is the user's.
        prefix: The text of the reply so far. The model continues right after its last character and
            repeats none of it. Empty for a new reply.
    """

    messages: tuple[PromptMessage, ...]
    prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of text from the model, before it is in the log.

    Attributes:
        repeats: 1 if this piece repeated part of the prefix and was cut, maybe to nothing; else 0.
    """

    text: str
    kind: Literal["text", "reasoning"] = "text"
    repeats: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The provider's token counts."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """The model is done; always the last item of a stream."""

    reason: FinishReason = "stop"
    usage: Usage | None = None


class LLM(Protocol):
    """A language model.

    Attributes:
        name: What people call it; stored with each reply.
    """

    name: str

    def stream(self, prompt: Prompt) -> AsyncGenerator[Delta | Finish]:
        """Answer `prompt`: yield deltas, then exactly one `Finish`.

        A delta is empty only if all of it was repetition. Closing the iterator ends the request to
        the provider.

        Raises:
            ProviderUnavailable: The provider failed, or its stream broke off before the end.
            ProviderMisconfigured: The provider refuses this server: its key, credit or model name.
            ProviderThrottled: The provider refuses for now.
            PromptRejected: The provider will not answer this prompt.
            ContextExceeded: The chat is too long for the model.
        """
        ...
