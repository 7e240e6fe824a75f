"""Every error this application raises on purpose.

    ChatAppError
    ├── StreamError            the durable log
    │   ├── StreamNotFound         the log has no such stream
    │   ├── StreamClosed           an append after the end
    │   ├── InvalidOffset          a cursor that is not an offset of the stream
    │   ├── OffsetExpired          the log of a closed stream is gone; the message is in the database
    │   ├── Fenced                 a newer producer owns the stream
    │   └── LogUnavailable         the store does not answer; try again later
    ├── GenerationError        the model, and the turn around it
    │   ├── TurnInProgress         the chat is being answered; carries the open `stream_id`
    │   ├── ProviderUnavailable    the provider fails or cannot be reached
    │   ├── ProviderMisconfigured  the provider refuses this server, not the prompt
    │   ├── ProviderThrottled      the provider refuses for now
    │   ├── PromptRejected         the provider will never accept this prompt
    │   └── ContextExceeded        the chat is too long for the model
    ├── AccessError            who may see what
    │   ├── NotAuthenticated       the request has no valid identity
    │   ├── ForbiddenOrigin        sent by another site's page
    │   ├── ChatNotFound           absent, or somebody else's: the caller cannot tell which
    │   └── RateLimited            too many requests; carries `retry_after`
    ├── InvalidRequest         a request that can never succeed as it stands
    │   ├── PromptTooLarge
    │   └── ChatTooLong
    ├── DatabaseUnavailable    the database is away or locked; try again later
    └── InvalidSettings        an invalid setting, found at startup

`code` is stable and meant for programs; the text is for people and may change.
HTTP status codes live in `chat_app.api.errors`.
"""

from datetime import timedelta
from typing import ClassVar


class ChatAppError(Exception):
    """Base of every error raised on purpose.

    Attributes:
        code: Stable identifier, part of the public API.
    """

    code: ClassVar[str] = "internal_error"


class StreamError(ChatAppError):
    """The durable log cannot do what was asked."""

    code = "stream_error"


class StreamNotFound(StreamError):
    """The log holds no such stream."""

    code = "stream_not_found"


class StreamClosed(StreamError):
    """The stream has ended; nothing can follow its last event."""

    code = "stream_closed"


class InvalidOffset(StreamError):
    """A cursor that is not an offset of the stream.

    Attributes:
        tail: The newest offset, if known: the highest valid cursor.
    """

    code = "invalid_offset"

    def __init__(self, message: str, *, tail: int | None = None) -> None:
        super().__init__(message)
        self.tail = tail


class OffsetExpired(StreamError):
    """The log of this closed stream is gone; its message can be read from the chat."""

    code = "offset_expired"


class Fenced(StreamError):
    """A producer with a newer fencing token owns the stream."""

    code = "fenced"


class LogUnavailable(StreamError):
    """The store behind the log does not answer.

    Attributes:
        retry_after: How long to wait before trying again.
    """

    code = "log_unavailable"

    def __init__(self, message: str, *, retry_after: timedelta = timedelta(seconds=1)) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class GenerationError(ChatAppError):
    """A reply cannot be generated, or not now."""

    code = "generation_error"


class TurnInProgress(GenerationError):
    """The chat is already being answered.

    Attributes:
        stream_id: The open stream: follow it, or stop it first.
    """

    code = "turn_in_progress"

    def __init__(self, message: str, *, stream_id: str) -> None:
        super().__init__(message)
        self.stream_id = stream_id


class ProviderUnavailable(GenerationError):
    """The model provider failed, was cut off, or cannot be reached."""

    code = "provider_unavailable"


class ProviderMisconfigured(GenerationError):
    """The model provider refuses this server: its key, its credit, or the name of the model."""

    code = "provider_misconfigured"


class ProviderThrottled(GenerationError):
    """The model provider refuses requests for now: a rate limit or a quota."""

    code = "provider_throttled"


class PromptRejected(GenerationError):
    """The model provider will not answer this prompt, however often it is sent."""

    code = "prompt_rejected"


class ContextExceeded(GenerationError):
    """The chat has become too long for the model."""

    code = "context_exceeded"


class AccessError(ChatAppError):
    """The caller may not do this."""

    code = "access_error"


class NotAuthenticated(AccessError):
    """The request has no valid identity."""

    code = "not_authenticated"


class ForbiddenOrigin(AccessError):
    """A page of another site sent the request."""

    code = "forbidden_origin"


class ChatNotFound(AccessError):
    """No such chat for this caller: absent, or owned by somebody else."""

    code = "chat_not_found"


class RateLimited(AccessError):
    """Too many requests.

    Attributes:
        retry_after: How long until the next request is accepted.
    """

    code = "rate_limited"

    def __init__(self, message: str, *, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class InvalidRequest(ChatAppError):
    """A request that can never succeed as it stands."""

    code = "invalid_request"


class PromptTooLarge(InvalidRequest):
    """The prompt is longer than the server accepts."""

    code = "prompt_too_large"


class ChatTooLong(InvalidRequest):
    """The chat has as many messages as the server accepts; the user can start a new one."""

    code = "chat_too_long"


class DatabaseUnavailable(ChatAppError):
    """The database cannot be reached, is locked, or its files cannot be used.

    Attributes:
        retry_after: How long to wait before trying again.
    """

    code = "database_unavailable"

    def __init__(self, message: str, *, retry_after: timedelta = timedelta(seconds=1)) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class InvalidSettings(ChatAppError):
    """A setting is invalid; the message names its variable."""

    code = "invalid_settings"
