"""Titles made by a model: requested once, after the first answer, in the background."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from datetime import timedelta

from chat_app.chats.chat_list import ChatList
from chat_app.chats.models import Chat, ChatId
from chat_app.chats.repository import ChatRepository
from chat_app.config import DEMO_MODEL
from chat_app.errors import ChatAppError
from chat_app.generation.llm import LLM, Delta, Prompt, PromptMessage
from chat_app.identity.identity import Identity

_logger = logging.getLogger(__name__)

_PATIENCE = timedelta(seconds=30)
_MAX_CONCURRENT = 8
"""Titles made at a time; further chats keep the title that the rule gave them."""
_MESSAGE_CHARS, _ANSWER_CHARS = 2000, 200
"""Characters of each message that the model gets, and of its answer that are read."""
_TITLE_LENGTH = 60
_QUESTION = (
    "Give this conversation a title of two to six words, in its own language. "
    "Answer with the title alone: no quotation marks, no Markdown, no full stop."
)


class Titles:
    """Asks the model that gave a chat's first answer for the chat's title.

    Whatever goes wrong, the chat keeps the title it has: the first line of its first prompt.

    Args:
        chats: The chats.
        chat_list: Stores the title, unless the owner has renamed the chat meanwhile.
        models: Returns the model with a given name.
        patience: How long making a title may take.
    """

    def __init__(
        self,
        *,
        chats: ChatRepository,
        chat_list: ChatList,
        models: Callable[[str], LLM],
        patience: timedelta = _PATIENCE,
    ) -> None:
        self._chats = chats
        self._chat_list = chat_list
        self._models = models
        self._patience = patience.total_seconds()
        self._running: set[asyncio.Task[None]] = set()  # cancelled by `close`

    @property
    def busy(self) -> bool:
        """Whether a title is being made."""
        return bool(self._running)

    def ask(self, identity: Identity, chat_id: ChatId) -> None:
        """Start making a title for a chat that has its first answer; returns at once."""
        if len(self._running) >= _MAX_CONCURRENT:
            return
        task = asyncio.create_task(self._ask(identity, chat_id), name="title")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Cancel the titles that are being made."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _ask(self, identity: Identity, chat_id: ChatId) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._give_title(identity, chat_id)
        except (ChatAppError, TimeoutError) as error:
            _logger.info("a chat keeps its first line as its title: %r", error)
        except Exception:  # outermost frame of its task
            _logger.exception("making a title failed")

    async def _give_title(self, identity: Identity, chat_id: ChatId) -> None:
        chat = await self._chats.read_chat(identity, chat_id)
        if not chat.messages or chat.messages[-1].status != "complete":
            return
        reply = chat.messages[-1]
        model = self._models(str(reply.meta.get("model", "")))
        if model.name == DEMO_MODEL:
            return
        title = plain_title(await _beginning_of_answer(model, _prompt(chat)))
        if title:
            await self._chat_list.title_by_model(identity, chat_id, title=title, after=reply.id)


def plain_title(answer: str) -> str:
    """Turn a model's answer into a title: one undecorated line of at most 60 characters."""
    lines = (line.strip(" \t#*_`\"'“”„«».") for line in answer.splitlines())
    title = " ".join(next((line for line in lines if line), "").replace("\0", "").split())
    return title if len(title) <= _TITLE_LENGTH else title[: _TITLE_LENGTH - 1].rstrip() + "…"


def _prompt(chat: Chat) -> Prompt:
    messages = (
        PromptMessage(role=message.role, text=message.text[:_MESSAGE_CHARS])
        for message in chat.active_path
    )
    return Prompt(messages=(*messages, PromptMessage(role="user", text=_QUESTION)))


async def _beginning_of_answer(model: LLM, prompt: Prompt) -> str:
    """Return the beginning of an answer; a model that goes on and on is cut off."""
    text = ""
    async with aclosing(model.stream(prompt)) as items:
        async for item in items:
            if isinstance(item, Delta) and item.kind == "text":
                text += item.text
            if len(text) >= _ANSWER_CHARS:
                break
    return text
