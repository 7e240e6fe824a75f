"""A message in the browser: prompts, and answers that grow, attached to their stream by HTTP."""

from chat_app.ui.live_answer.answer import answer, prompt

__all__ = ["answer", "prompt"]
