"""The whole page without a mouse."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.chat_page import ChatPage
from tests.support.openai_server import ROLE, Cue, OpenAIServer, Reply, ending, texts

HELD = Reply(body=(ROLE, *texts("So far."), Cue.HOLD, *ending()))


@pytest.fixture(autouse=True)
def _ready(chat: ChatPage) -> None:
    """Wait for the page: keys pressed before it is ready are lost."""
    expect(chat.prompt).to_be_enabled()


@pytest.mark.parametrize("key", ["Control+k", "Meta+k"])
def test_ctrl_k_searches_and_enter_opens_what_was_found(chat: ChatPage, key: str) -> None:
    chat.send("Something about a whale")
    chat.has_status("done")
    chat.page.keyboard.press("Control+Shift+O")
    expect(chat.page.get_by_test_id("greeting")).to_be_visible()

    chat.page.keyboard.press(key)
    expect(chat.page.get_by_test_id("chat-search")).to_be_focused()
    chat.page.keyboard.type("whale")
    expect(chat.page.get_by_test_id("found-chat")).to_have_count(1)
    chat.page.keyboard.press("Enter")

    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("Something about a whale")


def test_ctrl_k_opens_the_drawer_of_a_narrow_screen(chat: ChatPage) -> None:
    chat.page.set_viewport_size({"width": 390, "height": 844})

    chat.page.keyboard.press("Control+k")

    expect(chat.page.get_by_test_id("sidebar")).to_be_visible()
    expect(chat.page.get_by_test_id("chat-search")).to_be_focused()


def test_a_new_chat_begins_with_the_focus_in_the_composer(chat: ChatPage) -> None:
    chat.send("First")
    chat.has_status("done")
    chat.page.get_by_test_id("chat-link").focus()

    chat.page.keyboard.press("Control+Shift+O")

    expect(chat.page.get_by_test_id("greeting")).to_be_visible()
    expect(chat.prompt).to_be_focused()
    chat.page.keyboard.type("Second")
    expect(chat.prompt).to_have_value("Second")


def test_a_key_goes_to_the_latest_answer(chat: ChatPage) -> None:
    for prompt in ("First", "Second"):
        chat.send(prompt)
        chat.has_status("done")

    chat.page.keyboard.press("Control+Shift+L")

    expect(chat.answer).to_be_focused()
    chat.page.keyboard.press("Tab")
    expect(chat.answer.locator(":focus")).to_have_count(1)


def test_escape_stops_the_answer(chat: ChatPage, model: OpenAIServer) -> None:
    model.script(HELD)
    chat.send("Go on")
    chat.reads("So far.")

    chat.page.keyboard.press("Escape")

    chat.has_status("stopped")
    expect(chat.prompt).to_be_focused()


def test_escape_closes_what_is_open_before_it_stops_anything(
    chat: ChatPage, model: OpenAIServer
) -> None:
    model.script(HELD)
    chat.send("Go on")
    chat.reads("So far.")
    chat.page.keyboard.press("Control+/")
    expect(chat.page.get_by_test_id("shortcuts-dialog")).to_be_visible()

    chat.page.keyboard.press("Escape")

    expect(chat.page.get_by_test_id("shortcuts-dialog")).to_be_hidden()
    chat.has_status("streaming")
    expect(chat.prompt).to_be_focused()
    model.release()
    chat.has_status("done")


def test_a_question_mark_opens_the_help_only_outside_text_fields(chat: ChatPage) -> None:
    dialog = chat.page.get_by_test_id("shortcuts-dialog")
    chat.prompt.press("?")
    expect(chat.prompt).to_have_value("?")
    expect(dialog).to_be_hidden()

    chat.page.get_by_test_id("new-chat").focus()
    chat.page.keyboard.press("?")

    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("button", name="Close")).to_be_focused()
    chat.page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(chat.page.get_by_test_id("new-chat")).to_be_focused()


def test_arrow_up_in_an_empty_composer_edits_the_last_prompt(chat: ChatPage) -> None:
    chat.send("First")
    chat.has_status("done")
    chat.page.evaluate(
        "window.asked = 0; window.addEventListener('chat:edit-last', () => window.asked++)"
    )

    chat.prompt.fill("not empty")
    chat.prompt.press("ArrowUp")
    assert chat.page.evaluate("window.asked") == 0
    chat.prompt.fill("")
    chat.prompt.press("ArrowUp")

    assert chat.page.evaluate("window.asked") == 1


def test_a_chat_is_deleted_and_taken_back_by_keys_alone(chat: ChatPage) -> None:
    chat.send("First")
    chat.has_status("done")
    chat.page.get_by_test_id("chat-link").focus()
    chat.page.keyboard.press("Tab")
    expect(chat.page.get_by_test_id("chat-options")).to_be_focused()

    chat.page.keyboard.press("Enter")
    menu = chat.page.get_by_test_id("chat-menu")
    expect(menu.get_by_role("menuitem").first).to_be_focused()
    chat.page.keyboard.press("ArrowUp")
    expect(menu.get_by_role("menuitem", name="Delete")).to_be_focused()
    chat.page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(chat.page.get_by_test_id("chat-options")).to_be_focused()
    chat.page.keyboard.press("Enter")
    chat.page.keyboard.press("End")
    chat.page.keyboard.press("Enter")

    expect(chat.page.get_by_test_id("chat-link")).to_have_count(0)
    expect(chat.page.get_by_role("button", name="Undo")).to_be_focused()
    chat.page.keyboard.press("Enter")
    expect(chat.page.get_by_test_id("chat-link")).to_have_count(1)
    expect(chat.page).to_have_url(re.compile("/chat/"))


def test_the_appearance_is_chosen_and_kept_over_a_refresh(chat: ChatPage) -> None:
    picker, page = chat.page.get_by_test_id("appearance"), chat.page.locator("html")
    light = chat.page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    expect(picker).to_have_value("system")

    picker.focus()
    chat.page.keyboard.press("End")
    expect(page).to_have_class("dark")
    chat.page.reload()

    expect(page).to_have_class("dark")
    expect(picker).to_have_value("dark")
    expect(chat.page.locator("body")).not_to_have_css("background-color", light)
    chat.page.emulate_media(media="print")
    expect(chat.page.locator("body")).to_have_css("background-color", light)


def test_arrow_keys_go_through_the_chats(chat: ChatPage) -> None:
    for prompt in ("First", "Second"):
        chat.page.keyboard.press("Control+Shift+O")
        expect(chat.page.get_by_test_id("greeting")).to_be_visible()
        chat.send(prompt)
        chat.has_status("done")
    links = chat.page.get_by_test_id("chat-link")
    expect(links).to_have_count(2)

    links.first.focus()
    chat.page.keyboard.press("ArrowDown")
    expect(links.last).to_be_focused()
    chat.page.keyboard.press("Enter")

    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("First")
