"""Translates what providers and LiteLLM raise into this application's errors.

The texts are for the server's log; clients learn the code. A provider's own text is never passed
on: it can contain parts of a key, internal addresses, or the operator's prompt.
"""

from typing import Any

from chat_app.errors import (
    ContextExceeded,
    GenerationError,
    PromptRejected,
    ProviderMisconfigured,
    ProviderThrottled,
    ProviderUnavailable,
)

_UNAVAILABLE = "The model provider failed or cannot be reached."
_TIMED_OUT = "The model provider did not answer in time."
_CREDENTIALS = (
    "The model provider does not accept the key: check MODEL_API_KEY or its own variable."
)
_NO_SUCH_MODEL = "The model provider does not offer this model: check CHAT_MODEL and CHAT_MODELS."
_NOT_PAID = "This server's account with the model provider has no credit."
_THROTTLED = "The model provider is too busy to answer right now."
_REJECTED = "The model provider rejects this prompt."
_TOO_LONG = "This chat has become too long for the model."
_AGAINST_POLICY = "The model provider's content policy does not allow this prompt."

_MISCONFIGURED = {401: _CREDENTIALS, 402: _NOT_PAID, 403: _CREDENTIALS, 404: _NO_SUCH_MODEL}
_TIMED_OUT_STATUSES = frozenset({408, 504})
_REJECTING_STATUSES = frozenset({400, 413, 422})


def translated(error: Exception, *, litellm: Any) -> GenerationError:
    """This application's error for `error`.

    LiteLLM's exceptions, and those of the OpenAI SDK below it, carry the provider's HTTP status;
    anything else means that the connection or the stream broke.
    """
    if isinstance(error, TimeoutError):
        return ProviderUnavailable(_TIMED_OUT)
    if (
        isinstance(error, litellm.ContextWindowExceededError)
        or getattr(error, "code", None) == "context_length_exceeded"
    ):
        return ContextExceeded(_TOO_LONG)
    if isinstance(error, litellm.ContentPolicyViolationError):
        return PromptRejected(_AGAINST_POLICY)
    status: int | None = getattr(error, "status_code", None)
    if status == 429:
        return ProviderThrottled(_THROTTLED)
    if status in _MISCONFIGURED:
        return ProviderMisconfigured(_MISCONFIGURED[status])
    if status in _REJECTING_STATUSES:
        return PromptRejected(_REJECTED)
    return ProviderUnavailable(_TIMED_OUT if status in _TIMED_OUT_STATUSES else _UNAVAILABLE)
