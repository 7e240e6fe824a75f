"""The page's State on the server, with a real database behind it."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chat_app.bootstrap import Services, open_services, serving
from chat_app.chats.database import open_database
from chat_app.chats.models import ChatId
from chat_app.chats.repository import ChatRepository
from chat_app.config import Settings
from chat_app.errors import ChatNotFound
from chat_app.rates import RateLimits, open_rates
from chat_app.ui.conversation import ConversationState
from chat_app.ui.sidebar import SidebarState
from chat_app.upkeep import RESTORE_WINDOW
from tests.support.page_visit import PageVisit

pytestmark = pytest.mark.anyio


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncGenerator[Services]:
    """The application with the demo model."""
    async with open_services(Settings(database_url=f"sqlite:///{tmp_path / 'chat.db'}")) as opened:
        yield opened


@pytest.fixture
async def unreadable(opened: Services, tmp_path: Path) -> AsyncGenerator[Services]:
    """The same application when it cannot read chats."""
    async with open_database(f"sqlite:///{tmp_path / 'nowhere' / 'chat.db'}") as away:
        yield replace(opened, chats=ChatRepository(away))


@pytest.fixture
async def visit(opened: Services) -> PageVisit:
    return await PageVisit.begin(opened)


async def asked(visit: PageVisit, message_id: str) -> ConversationState:
    """Return a conversation with one prompt, opened at the address of its chat."""
    conversation = await visit.state(ConversationState)
    await conversation.start_new_chat()
    await conversation.send("", "/demo tokens=1 rate=0", message_id)
    visit.go(f"/chat/{message_id}")
    await conversation.open_chat()
    return conversation


async def test_a_chat_that_cannot_be_reloaded_stays_and_says_so(
    visit: PageVisit, unreadable: Services
) -> None:
    conversation = await asked(visit, "holiday")

    for reread in (lambda: conversation.show_stored("completed", ""), conversation.open_chat):
        with serving(unreadable):
            await reread()

        assert (conversation.view, conversation.shown_chat_id) == ("chat", "holiday")
        assert conversation.messages[0].id == "holiday"
        assert conversation.send_trouble.code == "stale"
    await conversation.open_chat()
    assert conversation.send_trouble.code == ""


async def test_a_retry_opens_the_chat_that_could_not_be_read(
    visit: PageVisit, unreadable: Services
) -> None:
    conversation = await asked(visit, "holiday")
    visit.go("/")
    await conversation.start_new_chat()
    visit.go("/chat/holiday")

    with serving(unreadable):
        await conversation.open_chat()

    assert (conversation.view, conversation.shown_chat_id) == ("unavailable", "holiday")
    assert conversation.messages == []
    await conversation.open_chat()
    assert conversation.view == "chat"


async def test_a_stop_without_a_session_counts_as_refused(visit: PageVisit) -> None:
    conversation = await asked(visit, "holiday")
    refused = conversation.refusals
    replace(visit, _cookie="").go("/chat/holiday")

    await conversation.stop("holiday")

    assert conversation.refusals == refused + 1


async def test_a_chat_in_another_tab_keeps_up_once_there_is_news(visit: PageVisit) -> None:
    here = await asked(visit, "holiday")
    elsewhere = await asked(visit.another_tab(), "holiday")
    await here.stop("holiday")
    sidebar = await visit.state(SidebarState)
    while sidebar.open_answering or not sidebar.open_at:
        await sidebar.sync()
    await here.refresh()
    assert not here.answering
    assert here.shown_at == sidebar.open_at

    await elsewhere.send("holiday", "/demo tokens=1000 rate=1", "follow-up")
    await here.refresh()  # it does not know of the news yet
    assert not here.answering
    await sidebar.sync()
    await here.refresh()

    assert here.answering
    assert [message.id for message in here.messages if message.role == "user"] == [
        "holiday",
        "follow-up",
    ]


async def test_a_prompt_for_a_chat_that_was_deleted_does_not_bring_it_back(
    visit: PageVisit, opened: Services
) -> None:
    conversation = await asked(visit, "holiday")
    await opened.upkeep.delete(visit.identity, chat_id="holiday")

    await conversation.send("holiday", "And then?", "follow-up")

    assert conversation.view == "not_found"
    assert conversation.accepted == "holiday"
    with pytest.raises(ChatNotFound):
        await opened.chats.read_chat(visit.identity, ChatId("holiday"))


async def test_a_permanently_deleted_chat_is_neither_offered_nor_restored(
    visit: PageVisit, opened: Services
) -> None:
    await asked(visit, "holiday")
    sidebar = await visit.state(SidebarState)
    await sidebar.discard_chat("holiday")
    await sidebar.load_chats()
    assert sidebar.discarded_id == "holiday"

    await opened.upkeep.delete(visit.identity, chat_id="holiday")
    await sidebar.restore_chat("holiday")
    assert "too late" in sidebar.trouble.cause

    sidebar.discarded_id, sidebar.discarded_until = "holiday", datetime.now(UTC) - RESTORE_WINDOW
    await sidebar.load_chats()
    assert sidebar.discarded_id == ""


async def test_operations_on_the_list_count_as_requests(visit: PageVisit, opened: Services) -> None:
    sidebar = await visit.state(SidebarState)
    limits = RateLimits(prompts=0, requests=1, guests=0)
    async with open_rates("memory://", limits, prefix="few") as few:
        with serving(replace(opened, rates=few)):
            await sidebar.search("sea" * 100)
            assert sidebar.found_for == ("sea" * 100)[:200]
            assert sidebar.trouble.code == ""

            for ask in (
                lambda: sidebar.search("hills"),
                lambda: sidebar.pin_chat("holiday", True),
            ):
                sidebar.dismiss_trouble()
                await ask()
                assert sidebar.trouble.code == "too_many_requests"
    assert sidebar.found_for.startswith("sea")


async def test_no_more_chats_are_pinned_than_the_list_shows(
    visit: PageVisit, opened: Services
) -> None:
    conversation = await asked(visit, "holiday")
    sidebar = await visit.state(SidebarState)
    await sidebar.load_chats()
    (line,) = sidebar.recent
    sidebar.pinned = [line] * 100

    await sidebar.pin_chat(conversation.shown_chat_id, True)

    assert sidebar.trouble.code == "too_many_pinned"
    page = await opened.chats.list_chats(visit.identity, pinned=True)
    assert page.chats == ()
