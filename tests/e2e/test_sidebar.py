"""The list of chats: its order, search and changes, also from another device."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from tests.e2e.chat_page import ChatPage
from tests.e2e.held import Held
from tests.e2e.sidebar import Sidebar
from tests.support.openai_server import ROLE, Cue, OpenAIServer, Reply, answer, ending, texts

HELD = Reply(body=(ROLE, *texts("So far."), Cue.HOLD, *ending()))
NEWS = 10_000  # ms; the page looks for changes every few seconds


GO = pytest.mark.parametrize(
    "go",
    [
        pytest.param("link.click(); deliverHeld()", id="on the way"),
        pytest.param(
            "const push = history.pushState;"
            "history.pushState = (...to) => { push.apply(history, to); deliverHeld() };"
            "link.click()",
            id="with the address changed",
        ),
    ],
)
"""Click a link, and deliver the held messages before the page it leads to is built."""


def ask(chat: ChatPage, *prompts: str) -> None:
    """Ask each prompt in a new chat; wait until the server knows that the answer was seen."""
    for prompt in prompts:
        chat.page.get_by_test_id("new-chat").click()
        expect(chat.page.get_by_test_id("greeting")).to_be_visible()
        chat.send(prompt)
        chat.has_status("done")
        line = chat.page.get_by_test_id("chat-list").locator(f"[data-chat='{chat.chat_id}']")
        expect(line).to_be_visible()
        expect(line.locator(".sr-only")).to_have_count(0)  # neither "answering" nor "unread"


def change(chat: ChatPage, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(chat.database)) as connection:
        connection.execute(statement, values)
        connection.commit()


def test_chats_stand_in_groups_by_the_readers_days(chat: ChatPage, sidebar: Sidebar) -> None:
    ask(chat, "Of now", "Of yesterday", "Of last week", "Of long ago", "Kept")
    for days, title in ((1, "Of yesterday"), (6, "Of last week"), (40, "Of long ago")):
        time = datetime.now(UTC) - timedelta(days=days)
        change(
            chat,
            "UPDATE chat SET updated_at = ?, read_at = ? WHERE title = ? AND user_id = "
            "(SELECT user_id FROM chat WHERE id = ?)",
            *2 * [time.strftime("%Y-%m-%d %H:%M:%S.%f")],
            title,
            chat.chat_id,
        )
    chat.page.reload()
    sidebar.choose("Kept", "Pin")

    groups = chat.page.get_by_test_id("chat-list").get_by_role("heading")
    expect(groups).to_have_text(["Pinned", "Today", "Yesterday", "Previous 7 days", "Older"])
    expect(sidebar.links).to_have_text(
        ["Kept", "Of now", "Of yesterday", "Of last week", "Of long ago"]
    )
    chat.page.reload()
    expect(groups.first).to_have_text("Pinned")
    sidebar.choose("Kept", "Unpin")
    expect(groups.first).to_have_text("Today")


def test_a_chat_is_renamed_in_its_place(chat: ChatPage, sidebar: Sidebar) -> None:
    ask(chat, "First name")
    field = chat.page.get_by_test_id("chat-name")

    sidebar.choose("First name", "Rename")
    field.fill("Given up")
    field.press("Escape")
    expect(sidebar.links).to_have_text(["First name"])
    sidebar.choose("First name", "Rename")
    field.fill("  Second   name ")
    field.press("Enter")

    expect(sidebar.links).to_have_text(["Second name"])
    expect(sidebar.links).to_be_focused()
    expect(chat.page.get_by_role("heading", name="Second name")).to_be_visible()
    chat.page.reload()
    expect(sidebar.links).to_have_text(["Second name"])


def test_a_deleted_chat_can_be_taken_back(chat: ChatPage, sidebar: Sidebar) -> None:
    ask(chat, "Stays", "Goes and comes")
    address = chat.page.url

    sidebar.choose("Goes and comes", "Delete")

    expect(sidebar.links).to_have_text(["Stays"])
    expect(chat.page.get_by_test_id("greeting")).to_be_visible()
    undo = chat.page.get_by_test_id("undo").get_by_role("button")
    expect(undo).to_be_focused()
    undo.press("Enter")
    expect(sidebar.links).to_have_text(["Goes and comes", "Stays"])
    expect(chat.page).to_have_url(address)
    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("Goes and comes")
    expect(chat.page.get_by_test_id("undo")).to_have_count(0)


def test_a_deleted_chat_is_gone_for_every_tab(
    chat: ChatPage, sidebar: Sidebar, another_tab: Callable[[], ChatPage]
) -> None:
    ask(chat, "Secret", "Other")
    other = another_tab()
    expect(Sidebar(other.page).links).to_have_count(2)

    sidebar.choose("Secret", "Delete")

    expect(Sidebar(other.page).links).to_have_text(["Other"], timeout=NEWS)
    other.page.close()
    chat.page.close()


def test_the_list_follows_what_happens_in_another_tab(
    chat: ChatPage,
    sidebar: Sidebar,
    another_tab: Callable[[], ChatPage],
    model: OpenAIServer,
) -> None:
    ask(chat, "Here")
    other = another_tab()
    model.script(HELD)

    other.send("Away")
    other.reads("So far.")

    line = sidebar.line("Away")
    expect(line.get_by_test_id("answering")).to_be_visible(timeout=NEWS)
    expect(line.get_by_test_id("unread")).to_have_count(0)
    other.page.close()
    model.release()
    expect(line.get_by_test_id("unread")).to_be_visible(timeout=NEWS)
    expect(line.get_by_test_id("answering")).to_have_count(0)
    line.get_by_role("link").click()
    chat.has_status("done")
    sidebar.line("Here").get_by_role("link").click()
    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("Here")
    expect(line.get_by_test_id("unread")).to_have_count(0)


def test_an_open_chat_shows_what_is_asked_in_it_elsewhere(
    chat: ChatPage, another_tab: Callable[[], ChatPage], model: OpenAIServer
) -> None:
    ask(chat, "Here")
    other = another_tab()
    other.open(f"/chat/{chat.chat_id}")
    model.script(HELD)
    chat.page.get_by_test_id("edit").click()
    chat.page.get_by_test_id("edit-box").fill("Here, in other words")
    chat.prompt.fill("Not sent")

    other.send("There")

    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("There", timeout=NEWS)
    chat.reads("So far.")
    model.release()
    chat.has_status("done")
    expect(chat.page.get_by_test_id("edit-box")).to_have_value("Here, in other words")
    expect(chat.prompt).to_have_value("Not sent")
    expect(chat.page.get_by_test_id("unread")).to_have_count(0)
    other.page.close()


@GO
def test_a_reader_who_opens_another_chat_while_a_new_one_begins_is_not_called_back(
    chat: ChatPage, sidebar: Sidebar, go: str
) -> None:
    ask(chat, "Here")
    address = chat.page.url
    held = Held(chat.page)
    chat.open()
    expect(sidebar.links).to_have_text(["Here"])
    held.begin()
    chat.prompt.fill("There")
    chat.prompt.press("Enter")
    expect(chat.page.get_by_test_id("sent-prompt")).to_have_text("There")
    held.wait_for("There")

    sidebar.line("Here").get_by_role("link").evaluate(f"link => {{ {go} }}")

    expect(sidebar.line("There")).to_be_visible()
    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("Here")
    expect(chat.page).to_have_url(address)


@GO
def test_a_reader_who_opens_another_chat_while_one_is_deleted_is_not_called_back(
    chat: ChatPage, sidebar: Sidebar, go: str
) -> None:
    ask(chat, "Here")
    address = chat.page.url
    ask(chat, "Not wanted")
    held = Held(chat.page)
    chat.page.reload()
    expect(sidebar.links).to_have_text(["Not wanted", "Here"])
    held.begin()
    sidebar.choose("Not wanted", "Delete")
    held.wait_for("discarded_id")

    sidebar.line("Here").get_by_role("link").evaluate(f"link => {{ {go} }}")

    expect(chat.page.get_by_test_id("undo")).to_be_visible()
    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("Here")
    expect(chat.page).to_have_url(address)


def test_an_answer_that_ends_in_view_counts_as_read(chat: ChatPage, sidebar: Sidebar) -> None:
    ask(chat, "Seen", "Seen too")

    chat.page.reload()

    expect(sidebar.links).to_have_count(2)
    expect(chat.page.get_by_test_id("unread")).to_have_count(0)


def test_a_chat_is_found_by_what_was_said_in_it(
    chat: ChatPage, sidebar: Sidebar, model: OpenAIServer
) -> None:
    model.script(answer("A ", "Løvenmund ", "is a 100% flower."), answer("Nothing."))
    ask(chat, "Garden", "Weather")
    search = chat.page.get_by_test_id("chat-search")
    found = chat.page.get_by_test_id("found-chat")

    search.fill("LØVEN 100%")
    expect(found).to_have_count(1)
    expect(found).to_contain_text("A Løvenmund is a 100% flower.")
    search.press("Enter")
    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("Garden")

    search.fill("nowhere")
    expect(chat.page.get_by_text("No results for “nowhere”.")).to_be_visible()
    search.press("Escape")
    expect(sidebar.links).to_have_count(2)
    search.press("Escape")
    expect(chat.prompt).to_be_focused()


def test_a_long_list_is_loaded_as_it_is_scrolled(chat: ChatPage, sidebar: Sidebar) -> None:
    ask(chat, "The only real one")
    change(
        chat,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 180) "
        "INSERT INTO chat (key, user_id, id, title, created_at, updated_at, read_at, pinned, "
        "title_by, searchable) SELECT 'long' || i || user_id, user_id, 'long' || i, 'Chat ' || i, "
        "created_at, datetime(updated_at, '-' || i || ' minutes') || '.000000', updated_at, 0, "
        "'rule', '' FROM n, chat WHERE id = ?",
        chat.chat_id,
    )
    chat.page.reload()
    expect(sidebar.links).to_have_count(50)

    for count in (100, 150, 181):
        sidebar.links.last.scroll_into_view_if_needed()
        expect(sidebar.links).to_have_count(count)

    expect(sidebar.links.last).to_have_text("Chat 180")
    ask(chat, "A newer one")
    expect(sidebar.links).to_have_count(182)
    expect(sidebar.links.first).to_have_text("A newer one")


@pytest.mark.parametrize(("name", "ending_"), [("Markdown", ".md"), ("JSON", ".json")])
def test_a_chat_is_downloaded_from_its_menu(
    chat: ChatPage, sidebar: Sidebar, name: str, ending_: str
) -> None:
    ask(chat, "Travel")

    with chat.page.expect_download() as download:
        sidebar.choose("Travel", f"Download as {name}")

    assert download.value.suggested_filename == f"Travel{ending_}"
    assert "Hello from the test model." in download.value.path().read_text()


def test_the_drawer_keeps_the_focus_until_it_is_closed(chat: ChatPage, sidebar: Sidebar) -> None:
    ask(chat, "First", "Second")
    chat.page.set_viewport_size({"width": 390, "height": 844})
    drawer = chat.page.get_by_test_id("sidebar")
    expect(drawer).to_be_hidden()

    chat.page.get_by_test_id("open-sidebar").click()
    expect(drawer).to_be_visible()
    for _ in range(12):
        chat.page.keyboard.press("Tab")
        assert chat.page.evaluate("document.activeElement.closest('main')") is None
    chat.page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(chat.page.get_by_test_id("open-sidebar")).to_be_focused()

    chat.page.get_by_test_id("open-sidebar").click()
    sidebar.line("First").get_by_role("link").click()
    expect(drawer).to_be_hidden()
    expect(chat.page).to_have_url(re.compile("/chat/"))
    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("First")
    chat.prompt.click()
    expect(chat.prompt).to_be_focused()
