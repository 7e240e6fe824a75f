"""The answer as it grows in the browser: markdown, attached to its stream by HTTP."""

from chat_app.ui.live_answer.answer import answer

__all__ = ["answer"]
