"""The conversation on the page: what it shows, and what the reader can do."""

from dataclasses import dataclass

import reflex as rx
from reflex.event import EventType

from chat_app.bootstrap import services
from chat_app.chats.models import Chat, ChatId, StreamRecord
from chat_app.errors import ChatAppError, ChatNotFound, DatabaseUnavailable, TurnInProgress
from chat_app.identity.identity import Identity
from chat_app.ui.session import identify
from chat_app.ui.sidebar import SidebarState
from chat_app.ui.trouble import NO_TROUBLE, Trouble, explain


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownMessage:
    """A message as the page shows it.

    Attributes:
        status: How it came to its end; "" while it is being written.
        live: Whether the browser has to follow `stream_id` to see it.
    """

    id: str
    role: str
    text: str
    status: str = ""
    live: bool = False
    stream_id: str = ""


class ConversationState(rx.State):
    """One chat, as the database has it. The text of a growing answer never passes through here.

    Every handler reads the chat anew in the name of the visitor: what the browser sends is a wish,
    never a fact.

    Attributes:
        view: `loading` until the server has spoken, then `new`, `chat`, `not_found` or
            `unavailable`.
        shown_chat_id: The chat on the page; "" before the first prompt of a new one.
        trouble: Why the newest answer failed.
        send_trouble: Why the newest prompt was refused.
        accepted: Id of the newest prompt that became a turn.
        refusals: How many prompts were refused.
    """

    view: str = "loading"
    shown_chat_id: str = ""
    title: str = ""
    messages: rx.Field[list[ShownMessage]] = rx.field(default_factory=list)
    answering: bool = False
    trouble: rx.Field[Trouble] = rx.field(NO_TROUBLE)
    send_trouble: rx.Field[Trouble] = rx.field(NO_TROUBLE)
    accepted: str = ""
    refusals: int = 0

    @rx.event
    async def start_new_chat(self) -> None:
        """Show an empty page that becomes a chat with its first prompt."""
        if await self._visitor() is None:
            return
        self._leave()
        self.view = "new"

    @rx.event
    async def open_chat(self) -> None:
        """Show the chat of the URL, and pick up its answer if one is open."""
        identity = await self._visitor()
        if identity is None:
            return
        chat_id = _last_segment(self.router.url.path)
        if chat_id != self.shown_chat_id:
            self._leave()
        await self._show(identity, chat_id)

    @rx.event
    async def send(self, text: str, message_id: str) -> EventType[()] | None:
        """Ask. The id makes a repeated request one turn, and on the empty page one chat."""
        identity = await self._visitor()
        if identity is None:
            return None
        is_new = not self.shown_chat_id
        chat_id = chat_of_prompt(message_id, shown_chat_id=self.shown_chat_id)
        try:
            await services().rates.prompt(identity)
            turn = await services().turns.send(
                identity, chat_id=chat_id, message_id=message_id, text=text
            )
        except ChatAppError as error:
            self._refuse(error)
            if isinstance(error, TurnInProgress):
                await self._show(identity, chat_id)
            return None
        self.send_trouble = NO_TROUBLE
        self.accepted = message_id
        await self._show(identity, turn.chat_id)
        return _after_sending(turn.chat_id, is_new=is_new)

    @rx.event
    async def stop(self) -> None:
        """End the answer that is being written; what there is of it stays."""
        identity = await self._visitor()
        if identity is None or not self.shown_chat_id:
            return
        try:
            await services().turns.stop(identity, self.shown_chat_id)
        except ChatAppError as error:
            self.send_trouble = explain(error.code)

    @rx.event
    async def take_over(self, outcome: str, code: str) -> EventType[()] | None:
        """The browser has seen the end of an answer: show what the database has.

        The two arguments are the browser's word and are not used; the database knows.
        """
        identity = await self._visitor()
        if identity is None or not self.shown_chat_id:
            return None
        await self._show(identity, self.shown_chat_id)
        return SidebarState.load_chats

    @rx.event
    def dismiss(self) -> None:
        """Take away the notice about a refused prompt."""
        self.send_trouble = NO_TROUBLE

    async def _visitor(self) -> Identity | None:
        """Who asks; None when there is nothing left to do but to show why."""
        try:
            return await identify(self)
        except DatabaseUnavailable as error:
            self._refuse(error)
            if self.view == "loading":
                self.view = "unavailable"
            return None

    def _leave(self) -> None:
        self.shown_chat_id = self.title = ""
        self.messages = []
        self.answering = False
        self.trouble = self.send_trouble = NO_TROUBLE

    async def _show(self, identity: Identity, chat_id: str) -> None:
        try:
            chat = await services().chats.read_chat(identity, ChatId(chat_id))
        except ChatAppError as error:
            self._leave()
            self.view = "not_found" if isinstance(error, ChatNotFound) else "unavailable"
            return
        stream = unanswered_stream(chat)
        self.view = "chat"
        self.shown_chat_id = chat.id
        self.title = chat.title
        self.messages = shown_messages(chat, stream)
        self.answering = stream is not None and stream.outcome is None
        self.trouble = _trouble_of(stream)

    def _refuse(self, error: ChatAppError) -> None:
        self.refusals += 1
        self.send_trouble = explain(error.code)


def chat_of_prompt(message_id: str, *, shown_chat_id: str) -> str:
    """The chat a prompt belongs to: the shown one, else a new one named after the prompt.

    A server that restarted remembers no id it made up; the browser sends the prompt's again.
    """
    return shown_chat_id or message_id


def unanswered_stream(chat: Chat) -> StreamRecord | None:
    """The stream that owes the chat an answer, open or failed; None when nothing is owed.

    The rule of resuming: an answer is owed when the last message is the user's, or unfinished. One
    that was to be made anew and came to nothing is owed beside the one that is there.
    """
    stream = chat.newest_stream
    path = chat.active_path
    if stream is None or not path:
        return None
    last = path[-1]
    if stream.outcome is None:
        return stream
    if last.id == stream.reply_id:
        owed = last.status != "complete"
    else:
        came_to_nothing = all(message.id != stream.reply_id for message in chat.messages)
        beside = stream.outcome == "failed" and stream.prompt_id == last.parent_id
        owed = last.role == "user" or (beside and came_to_nothing)
    return stream if owed else None


def shown_messages(chat: Chat, stream: StreamRecord | None) -> list[ShownMessage]:
    """The messages of a chat, and the answer that is being written at its place among them."""
    live_id = stream.reply_id if stream is not None and stream.outcome is None else None
    shown = [
        ShownMessage(id=message.id, role=message.role, text=message.text, status=message.status)
        for message in chat.active_path
        if message.id != live_id
    ]
    if stream is not None and live_id is not None:
        prefix = next((message.text for message in chat.active_path if message.id == live_id), "")
        shown.append(
            ShownMessage(id=live_id, role="assistant", text=prefix, live=True, stream_id=stream.id)
        )
    return shown


def _trouble_of(stream: StreamRecord | None) -> Trouble:
    if stream is None or stream.outcome not in {"failed", "interrupted"}:
        return NO_TROUBLE
    return explain(stream.error_code or stream.outcome)


def _after_sending(chat_id: str, *, is_new: bool) -> EventType[()]:
    if is_new:
        return [rx.redirect(f"/chat/{chat_id}"), SidebarState.load_chats]
    return SidebarState.load_chats


def _last_segment(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
