"""A model names a chat after its first answer; if anything goes wrong, the chat keeps its name."""

from collections.abc import AsyncGenerator
from datetime import timedelta

import anyio
import anyio.lowlevel
import pytest

from chat_app.chats.chat_list import ChatList
from chat_app.chats.database import Database
from chat_app.chats.models import ChatId, MessageId
from chat_app.chats.repository import ChatRepository
from chat_app.chats.streams import StreamRepository
from chat_app.errors import ProviderUnavailable
from chat_app.generation.demo import DemoLLM
from chat_app.generation.llm import LLM, Delta, Finish, Prompt
from chat_app.identity.identity import Identity
from chat_app.replies import Replies
from chat_app.streams.model import Outcome
from chat_app.titles import Titles, plain_title

pytestmark = pytest.mark.anyio

CHAT = ChatId("sea")
TOO_LONG = 10


class Namer:
    """A model with a fixed answer to any prompt; `None` stands for an unreachable provider."""

    name = "namer"

    def __init__(self, *said: str | None, waits: anyio.Event | None = None) -> None:
        self.prompts: list[Prompt] = []
        self.heard = 0
        self._said = said
        self._waits = waits

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Delta | Finish]:
        self.prompts.append(prompt)
        if self._waits is not None:
            await self._waits.wait()
        for text in self._said:
            if text is None:
                raise ProviderUnavailable("away")
            self.heard += 1
            yield Delta(text="thinking", kind="reasoning")
            yield Delta(text=text)
        yield Finish()


class NamedChat:
    """A chat, its owner, and the repositories behind it."""

    def __init__(self, database: Database, owner: Identity) -> None:
        self.chats = ChatRepository(database)
        self.chat_list = ChatList(database)
        self._streams = StreamRepository(database)
        self.owner = owner

    def titles(self, model: LLM, *, patience: timedelta = timedelta(seconds=TOO_LONG)) -> Titles:
        return Titles(
            chats=self.chats,
            chat_list=self.chat_list,
            models=lambda _name: model,
            patience=patience,
        )

    async def answer(
        self, titles: Titles, *, message_id: str = "m", how: str = "completed"
    ) -> None:
        """Run a turn from its beginning to its end."""
        begun = await self.chats.begin_turn(
            self.owner,
            chat_id=CHAT,
            message_id=MessageId(message_id),
            text="Where to?\nx" + "y" * 5000,
            model="namer",
        )
        replies = Replies(self._streams, on_first_answer=titles.ask)
        assignment = await replies.claim(self.owner, begun.stream.id)
        outcome = Outcome(kind="completed" if how == "completed" else "stopped")
        await replies.finish(
            self.owner,
            begun.stream.id,
            token=assignment.token,
            outcome=outcome,
            parts=[{"type": "text", "text": "To the sea."}],
        )

    async def title(self) -> str:
        return (await self.chats.read_chat(self.owner, CHAT)).title

    async def becomes(self, title: str) -> None:
        with anyio.fail_after(TOO_LONG):
            while await self.title() != title:
                pass  # each query is a transaction


@pytest.fixture
def named(database: Database, alice: Identity) -> NamedChat:
    return NamedChat(database, alice)


async def test_the_model_names_a_chat_once_after_its_first_answer(named: NamedChat) -> None:
    model = Namer('"Trip ', 'to the sea."')
    titles = named.titles(model)

    await named.answer(titles)
    await named.becomes("Trip to the sea")
    await named.answer(titles, message_id="second")
    await titles.close()

    (prompt,) = model.prompts
    assert [message.role for message in prompt.messages] == ["user", "assistant", "user"]
    assert len(prompt.messages[0].text) == 2000
    assert "title" in prompt.messages[-1].text


async def test_a_chat_whose_answer_was_stopped_is_not_named(named: NamedChat) -> None:
    model = Namer("Trip")
    titles = named.titles(model)

    await named.answer(titles, how="stopped")
    titles.ask(named.owner, CHAT)
    await settled(titles)

    assert (model.prompts, await named.title()) == ([], "Where to?")


async def settled(titles: Titles) -> None:
    """Wait until no title is being made."""
    with anyio.fail_after(TOO_LONG):
        while titles.busy:
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("said", [(None,), ("Tri", None), ("",), ("  \n#\n",), ()])
async def test_a_model_that_fails_leaves_the_first_line(
    named: NamedChat, said: tuple[str | None, ...]
) -> None:
    titles = named.titles(Namer(*said))

    await named.answer(titles)
    await settled(titles)

    assert await named.title() == "Where to?"


async def test_a_model_that_never_answers_is_not_waited_for(named: NamedChat) -> None:
    titles = named.titles(Namer("Late", waits=anyio.Event()), patience=timedelta(milliseconds=1))

    await named.answer(titles)
    await settled(titles)

    assert await named.title() == "Where to?"


async def test_a_model_that_goes_on_and_on_is_cut_short(named: NamedChat) -> None:
    model = Namer(*["and on "] * 1000)
    titles = named.titles(model)

    await named.answer(titles)
    await settled(titles)

    assert len(await named.title()) <= 60
    assert model.heard < 50


async def test_a_name_that_was_given_meanwhile_stays(named: NamedChat, alice: Identity) -> None:
    proceed = anyio.Event()
    titles = named.titles(Namer("Trip", waits=proceed))
    await named.answer(titles)

    await named.chats.rename(alice, CHAT, title="Mine")
    proceed.set()
    await settled(titles)

    assert await named.title() == "Mine"


async def test_the_demo_model_names_nothing(named: NamedChat) -> None:
    titles = named.titles(DemoLLM())

    await named.answer(titles)
    await settled(titles)

    assert await named.title() == "Where to?"


async def test_a_chat_that_is_gone_needs_no_name(named: NamedChat, alice: Identity) -> None:
    model = Namer("Trip")
    titles = named.titles(model)

    titles.ask(alice, ChatId("gone"))
    await settled(titles)

    assert model.prompts == []


async def test_the_number_of_titles_at_once_is_limited_and_closing_ends_them(
    named: NamedChat, alice: Identity
) -> None:
    model = Namer("Late", waits=anyio.Event())
    titles = named.titles(model)
    await named.answer(titles)

    for _ in range(20):
        titles.ask(alice, CHAT)
    with anyio.fail_after(TOO_LONG):
        while len(model.prompts) < 8:
            await named.title()
    await titles.close()

    assert (len(model.prompts), titles.busy) == (8, False)


class Broken:
    """A model with a bug."""

    name = "broken"

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Delta | Finish]:
        yield Finish()
        raise ZeroDivisionError


async def test_a_bug_in_a_model_is_logged_and_harms_nothing(
    named: NamedChat, caplog: pytest.LogCaptureFixture
) -> None:
    titles = named.titles(Broken())

    await named.answer(titles)
    await settled(titles)

    assert "making a title failed" in caplog.text
    assert await named.title() == "Where to?"


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("Trip to the sea", "Trip to the sea"),
        ('\n**"Trip  to the sea."**\n\nBecause …', "Trip to the sea"),
        ("# Reise ans Meer", "Reise ans Meer"),
        ("«В море»", "В море"),
        ("C++ and\0 C#?", "C++ and C#?"),
        ("w " * 60, "w " * 29 + "w…"),
        ("", ""),
    ],
)
def test_a_title_is_one_plain_line(said: str, title: str) -> None:
    assert plain_title(said) == title
