"""What went wrong, in words for the reader: the cause, and what to do."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """An error as the page shows it; never part of a conversation."""

    code: str
    cause: str
    remedy: str


NO_TROUBLE = Trouble(code="", cause="", remedy="")
STALE = Trouble(
    code="stale",
    cause="This chat cannot be updated right now.",
    remedy="You may be seeing an older version. It updates by itself.",
)
"""The chat on the page could not be reread."""

_WORDS = {
    "turn_in_progress": (
        "This chat is already being answered.",
        "Wait for the answer or stop it, then try again.",
    ),
    "prompt_too_large": ("Your message is too long.", "Shorten it or send it in parts."),
    "chat_too_long": ("This chat has reached its message limit.", "Start a new chat."),
    "invalid_request": ("The server rejected this request.", "Change it, then try again."),
    "rate_limited": ("Too many messages at once.", "Wait a moment, then try again."),
    "too_many_requests": ("Too many requests at once.", "Wait a moment, then try again."),
    "too_many_pinned": ("You can pin up to 100 chats.", "Unpin one first."),
    "removed": ("It is too late to undo: the chat is permanently deleted.", "Start a new chat."),
    "log_unavailable": (
        "The server cannot reach its answer store.",
        "Nothing is lost. Try again in a moment.",
    ),
    "database_unavailable": (
        "The server cannot reach its database.",
        "Nothing is lost. Try again in a moment.",
    ),
    "provider_unavailable": (
        "The model could not be reached, or failed while answering.",
        "Try again.",
    ),
    "provider_misconfigured": (
        "The model is not set up correctly on this server.",
        "Ask the site operator: the server's log says why.",
    ),
    "provider_throttled": ("The model is rate-limiting requests.", "Try again in a minute."),
    "prompt_rejected": ("The model rejected this prompt.", "Rephrase or shorten it."),
    "context_exceeded": (
        "This chat has become too long for the model.",
        "Start a new chat, or edit an earlier message.",
    ),
    "stopped": ("You stopped the answer before it began.", "Retry to get an answer."),
    "interrupted": ("The answer was interrupted before any of it was saved.", "Try again."),
}
_UNKNOWN = (
    "Something went wrong on the server.",
    "Try again. If it keeps happening, contact the site operator.",
)


def explain(code: str | None) -> Trouble:
    """Put an error code into words; an unknown code is kept and gets general words."""
    cause, remedy = _WORDS.get(code or "", _UNKNOWN)
    return Trouble(code=code or "internal_error", cause=cause, remedy=remedy)
