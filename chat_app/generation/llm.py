"""What a language model is to this application: a stream of deltas that can go on from a prefix."""

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
        prefix: Text of the reply that exists already. The model goes on right after its last
            character and repeats none of it. Empty for a fresh reply.
    """

    messages: tuple[PromptMessage, ...]
    prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of text from the model, before it is in the log.

    Attributes:
        repeats: How many pieces said again, wholly or in part, what the prefix holds, and were
            cut for it: this one, or one of which nothing is left.
    """

    text: str
    kind: Literal["text", "reasoning"] = "text"
    repeats: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the provider counted, in tokens."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """The model is done: always the last thing a stream yields."""

    reason: FinishReason = "stop"
    usage: Usage | None = None


class LLM(Protocol):
    """A language model.

    Attributes:
        name: What a person calls it; stored with each reply.
    """

    name: str

    def stream(self, prompt: Prompt) -> AsyncGenerator[Delta | Finish]:
        """Answer `prompt`: deltas, then exactly one `Finish`. Only a repetition may be empty.

        Closing the iterator ends the request to the provider.

        Raises:
            ProviderUnavailable: The provider failed, or its stream broke off before the end.
            ProviderThrottled: The provider refuses for now.
            PromptRejected: The provider will not answer this prompt.
        """
        ...
