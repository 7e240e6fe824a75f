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
    cause="The chat cannot be read right now.",
    remedy="What you see may not be the newest.",
)
"""The chat on the page could not be reread."""

_WORDS = {
    "turn_in_progress": (
        "This chat is being answered already.",
        "Wait for the answer, or stop it; then send again.",
    ),
    "prompt_too_large": (
        "The message is longer than the server accepts.",
        "Shorten it, or send it in parts.",
    ),
    "chat_too_long": ("This chat has as many messages as one can have.", "Begin a new chat."),
    "invalid_request": ("The server cannot accept this message.", "Change it, then send again."),
    "rate_limited": ("Too many messages in a short time.", "Wait a moment, then send again."),
    "too_many_requests": ("Too much in a short time: wait a moment.", "Then try again."),
    "too_many_pinned": ("100 chats are pinned, and that is all there is room for.", "Unpin one."),
    "removed": ("It is too late: the chat has been removed for good.", "Begin a new chat."),
    "log_unavailable": (
        "The store behind the answers cannot be reached.",
        "Nothing is lost. Try again in a moment.",
    ),
    "database_unavailable": (
        "The database cannot be reached.",
        "Nothing is lost. Try again in a moment.",
    ),
    "provider_unavailable": ("The model could not be reached, or broke off.", "Ask again."),
    "provider_throttled": ("The model takes no more requests for now.", "Ask again in a minute."),
    "prompt_rejected": ("The model refuses this prompt.", "Ask in other words."),
    "stopped": ("You stopped the answer before its first word.", "Ask again if you like."),
    "interrupted": (
        "The answer was cut off and could not be continued.",
        "What had arrived is kept. Ask again.",
    ),
}
_UNKNOWN = ("Something went wrong on the server.", "Ask again; if it stays, tell the operator.")


def explain(code: str | None) -> Trouble:
    """Put an error code into words; an unknown code is kept and gets general words."""
    cause, remedy = _WORDS.get(code or "", _UNKNOWN)
    return Trouble(code=code or "internal_error", cause=cause, remedy=remedy)
