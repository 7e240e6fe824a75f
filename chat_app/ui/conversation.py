"""The conversation on the page: what it shows, and what the reader can do."""

from collections.abc import Awaitable, Callable

import reflex as rx
from reflex.event import EventType

from chat_app.bootstrap import services
from chat_app.chats.models import ACTIVE, EXISTING_CHAT, ChatId
from chat_app.errors import ChatAppError, ChatNotFound, DatabaseUnavailable, TurnInProgress
from chat_app.identity.identity import Identity
from chat_app.turn import Turn
from chat_app.turns import Turns
from chat_app.ui.session import SessionState, identify
from chat_app.ui.shown import ShownMessage, end_of, shown_messages, trouble_of, unanswered_stream
from chat_app.ui.sidebar import SidebarState
from chat_app.ui.trouble import NO_TROUBLE, STALE, Trouble, explain

_FIRST, _STEP = 12, 60
"""How many messages are shown at first, and how many more each time the reader goes back. A change
sends all that are shown, and each of them costs every frame of a growing answer a little."""


class ConversationState(rx.State):
    """One chat, as the database has it. The text of a growing answer never passes through here.

    Handlers reread the chat on the visitor's behalf: what the browser sends is a request, never a
    fact. A request to change a chat names it, because by then another one may be shown.

    Attributes:
        view: `loading` until the server has replied, then `new`, `chat`, `not_found` or
            `unavailable`.
        shown_chat_id: The chat on the page; "" before the first prompt of a new one.
        messages: The newest messages of the branch that is shown, at most `shown_at_most`.
        earlier: How many messages precede them.
        shown_at: The chat's `updated_at` as of what is shown, in ISO 8601.
        ended: How the newest answer ended; "" while it is being written.
        trouble: Why the answer is missing or incomplete.
        send_trouble: Why the newest request was refused, or that the chat could not be reread.
        owed_id: Id of the reply that is owed.
        accepted: Id of the newest prompt that became a turn.
        refusals: How many requests were refused.
    """

    view: str = "loading"
    shown_chat_id: str = ""
    title: str = ""
    messages: rx.Field[list[ShownMessage]] = rx.field(default_factory=list)
    earlier: int = 0
    shown_at_most: int = _FIRST
    answering: bool = False
    shown_at: str = ""
    ended: str = ""
    trouble: rx.Field[Trouble] = rx.field(NO_TROUBLE)
    send_trouble: rx.Field[Trouble] = rx.field(NO_TROUBLE)
    owed_id: str = ""
    accepted: str = ""
    refusals: int = 0

    @rx.event
    async def start_new_chat(self) -> None:
        """Show an empty page that becomes a chat with its first prompt."""
        self._clear()
        if await self._visitor() is not None:
            self.view = "new"

    @rx.event
    async def open_chat(self) -> None:
        """Show the chat that the URL names, and pick up its answer if one is open."""
        chat_id = _last_segment(self.router.url.path)
        if not chat_id:
            return await self.start_new_chat()
        if chat_id != self.shown_chat_id:
            self._clear(chat_id)
        if identity := await self._visitor():
            await self._show(identity, chat_id)
        return None

    @rx.event
    async def refresh(self) -> None:
        """Reread the chat if the list has news of it, or if the last attempt failed."""
        if self.view == "unavailable":
            return await self.open_chat()
        sidebar = await self.get_state(SidebarState)
        listed = self.view == "chat" and sidebar.open_id == self.shown_chat_id and sidebar.open_at
        known = (sidebar.open_at, sidebar.open_answering) == (self.shown_at, self.answering)
        stale = listed and (not known or self.send_trouble.code == STALE.code)
        if stale and (identity := await self._visitor()):
            await self._show(identity, self.shown_chat_id, keep_shown=True)
        return None

    @rx.event
    async def send(self, chat_id: str, text: str, message_id: str) -> EventType[()] | None:
        """Send a prompt. Its id makes a repeat the same turn and, without a chat, the same chat."""
        model = await self._chosen_model()
        place = EXISTING_CHAT if chat_id else ACTIVE
        chat_id = chat_id or message_id
        return await self._begin(
            chat_id,
            lambda turns, identity: turns.send(
                identity,
                chat_id=chat_id,
                message_id=message_id,
                text=text,
                parent_id=place,
                model=model,
            ),
            prompt_id=message_id,
        )

    @rx.event
    async def edit(
        self, chat_id: str, edited_id: str, text: str, message_id: str
    ) -> EventType[()] | None:
        """Send an edited prompt beside the original, which stays."""
        model = await self._chosen_model()
        return await self._begin(
            chat_id,
            lambda turns, identity: turns.send(
                identity,
                chat_id=chat_id,
                message_id=message_id,
                edited_id=edited_id,
                text=text,
                model=model,
            ),
            prompt_id=message_id,
        )

    @rx.event
    async def regenerate(self, chat_id: str, message_id: str) -> EventType[()] | None:
        """Have another reply generated beside the existing one, which stays."""
        model = await self._chosen_model()
        return await self._begin(
            chat_id,
            lambda turns, identity: turns.regenerate(
                identity, chat_id=chat_id, message_id=message_id, model=model
            ),
        )

    @rx.event
    async def continue_reply(self, chat_id: str, message_id: str) -> EventType[()] | None:
        """Continue a reply that ended too early, with the model that began it.

        A reply that has no text yet is generated anew, with the model that is chosen now.
        """
        model = await self._chosen_model()
        return await self._begin(
            chat_id,
            lambda turns, identity: turns.continue_(
                identity, chat_id=chat_id, message_id=message_id, model=model
            ),
        )

    @rx.event
    async def show_branch(self, chat_id: str, message_id: str) -> None:
        """Show the branch of the chat that contains a message."""
        identity = await self._visitor()
        if identity is None:
            return
        try:
            await services().upkeep.activate(identity, chat_id=chat_id, message_id=message_id)
        except ChatAppError as error:
            self._refuse(error)
        if chat_id == self.shown_chat_id:
            await self._show(identity, chat_id)

    @rx.event
    async def show_earlier(self) -> None:
        """Show more of the earlier messages."""
        identity = await self._visitor()
        if identity is None or not self.earlier:
            return
        self.shown_at_most += _STEP
        await self._show(identity, self.shown_chat_id)

    @rx.event
    async def stop(self, chat_id: str) -> None:
        """Stop the answer that is being written; the partial answer stays."""
        identity = await self._visitor()
        if identity is None or not chat_id:
            return
        try:
            await services().turns.stop(identity, chat_id)
        except ChatAppError as error:
            self._refuse(error)

    @rx.event
    async def show_stored(self, outcome: str, code: str) -> EventType[()] | None:
        """Show what the database has: the browser saw the stream end, or was refused it.

        Both arguments are the browser's claim and are not used; the database knows.
        """
        identity = await self._visitor()
        if identity is None or not self.shown_chat_id:
            return None
        await self._show(identity, self.shown_chat_id)
        return SidebarState.load_chats

    @rx.event
    def dismiss(self) -> None:
        """Remove the notice about a refused request."""
        self.send_trouble = NO_TROUBLE

    async def _begin(
        self,
        chat_id: str,
        ask: Callable[[Turns, Identity], Awaitable[Turn]],
        *,
        prompt_id: str = "",
    ) -> EventType[()] | None:
        """Begin a turn and show it if its chat is on the page; on a refusal, say why."""
        identity = await self._visitor()
        if identity is None:
            return None
        url_id = _last_segment(self.router.url.path)
        is_open = url_id == chat_id or (url_id == "" and chat_id == prompt_id)
        try:
            await services().rates.prompt(identity)
            await ask(services().turns, identity)
        except ChatAppError as error:
            self._refuse(error)
            if isinstance(error, TurnInProgress | ChatNotFound) and is_open:
                await self._show(identity, chat_id)
            return None
        if is_open:
            self.send_trouble = NO_TROUBLE
            self.shown_at_most = _FIRST  # a reader who asks is at the end
            await self._show(identity, chat_id)
        self.accepted = prompt_id or self.accepted
        return SidebarState.load_chats

    async def _visitor(self) -> Identity | None:
        """Identify the visitor; None if that fails: the handler then has nothing left to do."""
        try:
            identity = await identify(self)
        except DatabaseUnavailable as error:
            self._refuse(error)
            if self.view == "loading":
                self.view = "unavailable"
            return None
        if identity is None:
            self.refusals += 1  # so that the browser waits no longer
        return identity

    async def _chosen_model(self) -> str | None:
        """Return the model that is to answer; None for the default."""
        return (await self.get_state(SessionState)).answering_model or None

    def _clear(self, chat_id: str = "") -> None:
        """Clear what is shown, to make way for another chat."""
        self.view, self.shown_chat_id = "loading", chat_id
        self.title = self.shown_at = self.ended = self.owed_id = ""
        self.messages = []
        self.earlier, self.shown_at_most = 0, _FIRST
        self.answering = False
        self.trouble = self.send_trouble = NO_TROUBLE

    async def _show(self, identity: Identity, chat_id: str, *, keep_shown: bool = False) -> None:
        """Read a chat and show it; with `keep_shown`, keep every message that is shown already."""
        try:
            chat = await services().chats.read_chat(identity, ChatId(chat_id))
        except ChatNotFound:
            self._clear()
            self.view = "not_found"
            return
        except ChatAppError:
            if self.view == "chat" and self.shown_chat_id == chat_id:
                self.send_trouble = self.send_trouble if self.send_trouble.code else STALE
            else:
                self._clear(chat_id)
                self.view = "unavailable"
            return
        if self.send_trouble.code == STALE.code:
            self.send_trouble = NO_TROUBLE
        stream = unanswered_stream(chat)
        self.view = "chat"
        self.shown_chat_id = chat.id
        self.title = chat.title
        self.shown_at = chat.updated_at.isoformat()
        shown = shown_messages(chat, stream)
        if keep_shown:
            self.shown_at_most = max(self.shown_at_most, len(shown) - self.earlier)
        self.messages = shown[-self.shown_at_most :]
        self.earlier = len(shown) - len(self.messages)
        self.answering = stream is not None and stream.outcome is None
        self.ended = "" if self.answering else end_of(self.messages, stream)
        self.owed_id = "" if stream is None else stream.reply_id
        self.trouble = trouble_of(stream, self.messages)

    def _refuse(self, error: ChatAppError) -> None:
        self.refusals += 1
        self.send_trouble = explain(error.code)


def _last_segment(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
