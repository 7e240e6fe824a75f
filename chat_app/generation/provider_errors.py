"""Translates what providers and LiteLLM raise into this application's errors.

The texts are for the server's log; clients learn the code. A provider's own text is never passed
on: it can contain parts of a key, internal addresses, or the operator's prompt.
"""

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from chat_app.errors import (
    GenerationError,
    PromptRejected,
    ProviderThrottled,
    ProviderUnavailable,
)

_UNAVAILABLE = "The model provider failed or cannot be reached."
_TIMED_OUT = "The model provider did not answer in time."
_CREDENTIALS = "The model provider does not accept this server's credentials."
_NO_SUCH_MODEL = "The model provider does not offer this model."
_NOT_PAID = "The model provider's account of this server has no credit."
_THROTTLED = "The model provider is too busy to answer right now."
_REJECTED = "The model provider rejects this prompt."
_TOO_LONG = "This chat has become too long for the model."
_AGAINST_POLICY = "The model provider's content policy does not allow this prompt."

_UNAVAILABLE_BY_STATUS = {
    401: _CREDENTIALS,
    402: _NOT_PAID,
    403: _CREDENTIALS,
    404: _NO_SUCH_MODEL,
    408: _TIMED_OUT,
    504: _TIMED_OUT,
}
_REJECTING_STATUSES = frozenset({400, 413, 422})


def translated(error: Exception, *, litellm: Any) -> GenerationError:
    """This application's error for `error`.

    LiteLLM's exceptions, and those of the OpenAI SDK below it, carry the provider's HTTP status;
    anything else means that the connection or the stream broke.
    """
    if isinstance(error, TimeoutError):
        return ProviderUnavailable(_TIMED_OUT)
    if isinstance(error, litellm.ContextWindowExceededError):
        return PromptRejected(_TOO_LONG)
    if isinstance(error, litellm.ContentPolicyViolationError):
        return PromptRejected(_AGAINST_POLICY)
    status: int | None = getattr(error, "status_code", None)
    if status == 429:
        return ProviderThrottled(_THROTTLED, retry_after=_retry_after(error))
    if status in _REJECTING_STATUSES:
        return PromptRejected(_REJECTED)
    return ProviderUnavailable(_UNAVAILABLE_BY_STATUS.get(status or 0, _UNAVAILABLE))


def _retry_after(error: Exception) -> timedelta | None:
    """The wait the provider asked for; None if it gave none, or a date (RFC 9110, 10.2.3)."""
    headers: Mapping[str, str] = getattr(error, "litellm_response_headers", None) or {}
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return timedelta(seconds=seconds) if math.isfinite(seconds) and seconds >= 0 else None
