"""The composer grows, keeps unsent text, and says why it cannot send."""

import re

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.e2e.chat_page import ChatPage
from tests.support.openai_server import ROLE, Cue, OpenAIServer, Reply, answer, ending, texts

HELD = Reply(body=(ROLE, *texts("So far."), Cue.HOLD, *ending()))


@pytest.fixture(autouse=True)
def _ready(chat: ChatPage) -> None:
    """Wait for the page: keys pressed before it is ready are lost."""
    expect(chat.prompt).to_be_enabled()


def height(chat: ChatPage) -> float:
    box = chat.prompt.bounding_box()
    assert box is not None
    return box["height"]


def test_the_box_grows_to_a_limit_and_shrinks_again(chat: ChatPage) -> None:
    empty = height(chat)

    chat.prompt.press_sequentially("one")
    chat.prompt.press("Shift+Enter")
    chat.prompt.press_sequentially("two")
    two_lines = height(chat)
    chat.prompt.fill("line\n" * 100)
    full = height(chat)
    chat.prompt.fill("")

    assert empty < two_lines < full <= 220
    assert height(chat) == empty


def test_enter_while_an_input_method_composes_sends_nothing(
    chat: ChatPage, model: OpenAIServer
) -> None:
    chat.prompt.fill("にほん")

    chat.prompt.dispatch_event(
        "keydown", {"key": "Enter", "bubbles": True, "cancelable": True, "isComposing": True}
    )

    expect(chat.prompt).to_have_value("にほん")
    expect(chat.page.get_by_test_id("greeting")).to_be_visible()
    assert model.requests == []


def test_each_chat_keeps_its_draft_over_a_refresh(chat: ChatPage) -> None:
    chat.send("First")
    chat.has_status("done")
    chat.prompt.fill("for the first")
    chat.page.get_by_test_id("new-chat").click()
    expect(chat.prompt).to_have_value("")
    chat.prompt.fill("for a new one")

    chat.page.reload()

    expect(chat.prompt).to_have_value("for a new one")
    chat.page.get_by_test_id("chat-link").click()
    expect(chat.prompt).to_have_value("for the first")
    chat.page.reload()
    expect(chat.prompt).to_have_value("for the first")


def test_a_sent_prompt_is_no_longer_a_draft(chat: ChatPage) -> None:
    chat.prompt.fill("Sent")
    chat.send("Sent")
    chat.has_status("done")
    expect(chat.prompt).to_have_value("")

    chat.page.get_by_test_id("new-chat").click()

    expect(chat.page.get_by_test_id("greeting")).to_be_visible()
    expect(chat.prompt).to_have_value("")
    chat.page.reload()
    expect(chat.prompt).to_have_value("")


def test_a_text_that_is_too_long_says_by_how_much_and_can_be_shortened(chat: ChatPage) -> None:
    hint = chat.page.locator("#composer-hint")
    chat.prompt.evaluate(
        "(box, text) => { box.focus(); document.execCommand('insertText', false, text); }",
        "x" * 100_234,
    )

    expect(hint).to_have_text(
        "234 characters too long. Shorten it or send it in parts.", timeout=10_000
    )
    expect(chat.page.get_by_test_id("send")).to_be_disabled()
    chat.prompt.fill("short")
    expect(hint).to_have_text("")
    expect(chat.page.get_by_test_id("send")).to_be_enabled()


def test_the_send_button_says_why_it_cannot_send(chat: ChatPage, model: OpenAIServer) -> None:
    send = chat.page.get_by_test_id("send")
    expect(send).to_have_accessible_description("Write a message to send.")
    model.script(HELD)
    chat.send("Go on")
    chat.reads("So far.")

    chat.prompt.fill("And then?")

    expect(chat.prompt).to_have_accessible_description(re.compile("when it is done"))
    expect(chat.prompt).to_have_value("And then?")
    model.release()
    expect(send).to_be_enabled()


def test_a_prompt_sent_during_an_answer_waits_for_its_end(
    chat: ChatPage, model: OpenAIServer
) -> None:
    model.script(HELD, answer("Then home."))
    chat.send("Go on")
    chat.reads("So far.")

    chat.prompt.fill("And then?")
    chat.prompt.press("Enter")
    expect(chat.page.get_by_test_id("waits")).to_be_visible()
    assert len(model.requests) == 1
    model.release()

    expect(chat.page.get_by_test_id("prompt-message").last).to_have_text("And then?")
    chat.reads("Then home.")
    expect(chat.prompt).to_have_value("")
    expect(chat.page.get_by_test_id("waits")).to_have_count(0)


def test_a_waiting_prompt_still_waits_after_a_refresh_and_in_no_other_tab(
    chat: ChatPage, context: BrowserContext, model: OpenAIServer
) -> None:
    model.script(HELD, answer("Then home."))
    chat.send("Go on")
    chat.reads("So far.")
    chat.prompt.fill("And then?")
    chat.prompt.press("Enter")
    waits = chat.page.get_by_test_id("waits")
    expect(waits).to_be_visible()

    chat.page.reload()

    expect(waits).to_be_visible()
    expect(chat.prompt).to_have_value("And then?")
    other = ChatPage(context.new_page(), database=chat.database)
    other.open(chat.page.url)
    expect(other.prompt).to_have_value("And then?")
    expect(other.page.get_by_test_id("waits")).to_have_count(0)
    model.release()
    expect(chat.page.get_by_test_id("prompt-message").last).to_have_text("And then?")
    chat.reads("Then home.")
    chat.has_status("done")
    assert [text for role, text, _ in chat.stored() if role == "user"] == ["Go on", "And then?"]


@pytest.mark.parametrize("mishap", [False, True], ids=["taken back", "after a mishap"])
def test_a_waiting_prompt_goes_back_to_its_writer_if_it_is_not_sent(
    chat: ChatPage, model: OpenAIServer, mishap: bool
) -> None:
    ends = (Cue.RESET,) if mishap else ending()
    model.script(Reply(body=(ROLE, *texts("So far."), Cue.HOLD, *ends)))
    chat.send("Go on")
    chat.reads("So far.")
    chat.prompt.fill("And then?")
    chat.prompt.press("Enter")
    waits = chat.page.get_by_test_id("waits")
    expect(waits).to_be_visible()

    if not mishap:
        waits.get_by_role("button", name="Cancel").click()
    model.release()

    expect(chat.page.get_by_test_id("send")).to_be_enabled()
    expect(waits).to_have_count(0)
    expect(chat.prompt).to_have_value("And then?")
    expect(chat.page.get_by_test_id("prompt-message")).to_have_count(1)
    assert len(model.requests) == 1


def answered_elsewhere(chat: ChatPage, context: BrowserContext, model: OpenAIServer) -> None:
    """Open a chat with one turn, in which another tab has just asked a second question."""
    chat.send("First")
    chat.has_status("done")
    other = ChatPage(context.new_page(), database=chat.database)
    other.open(chat.page.url)
    other.has_status("done")
    model.script(HELD)
    other.send("Second")
    other.reads("So far.")


def test_a_prompt_that_is_refused_goes_back_to_its_writer_with_the_reason(
    chat: ChatPage, context: BrowserContext, model: OpenAIServer
) -> None:
    answered_elsewhere(chat, context, model)

    chat.prompt.fill("Third")
    chat.prompt.press("Enter")

    refusal = chat.page.get_by_test_id("send-trouble")
    expect(refusal).to_contain_text("This chat is already being answered.")
    expect(chat.prompt).to_have_value("Third")
    expect(chat.page.get_by_test_id("sent-prompt")).to_have_count(0)
    chat.reads("So far.")
    model.release()
    chat.has_status("done")
    chat.prompt.press("Enter")
    expect(chat.page.get_by_test_id("prompt-message").last).to_have_text("Third")
    expect(refusal).to_have_count(0)


def test_an_edit_that_is_refused_keeps_its_text(
    chat: ChatPage, context: BrowserContext, model: OpenAIServer
) -> None:
    answered_elsewhere(chat, context, model)
    chat.page.get_by_test_id("edit").focus()
    chat.page.keyboard.press("Enter")
    chat.page.get_by_test_id("edit-box").fill("Other words")

    chat.page.keyboard.press("Enter")

    expect(chat.page.get_by_test_id("send-trouble")).to_be_visible()
    expect(chat.page.get_by_test_id("edit-box")).to_have_value("Other words")
    expect(chat.page.get_by_test_id("sent-prompt")).to_have_count(0)
    model.release()
    chat.has_status("done")
