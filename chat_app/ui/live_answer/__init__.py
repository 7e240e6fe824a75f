"""Messages in the browser: prompts, and answers that follow their stream over HTTP."""

from chat_app.ui.live_answer.answer import answer, prompt

__all__ = ["answer", "prompt"]
