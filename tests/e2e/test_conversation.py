"""What a reader can do with the messages of a conversation, and how they look."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.chat_page import ChatPage
from tests.support.openai_server import (
    ROLE,
    Cue,
    OpenAIServer,
    Reply,
    answer,
    ending,
    reasoning,
    texts,
)


def held(first: str, then: str) -> Reply:
    """Return an answer that pauses in its middle."""
    return Reply(body=(ROLE, *texts(first), Cue.HOLD, *texts(then), *ending()))


def stop_after(chat: ChatPage, model: OpenAIServer, first: str) -> None:
    model.script(held(first, "never"))
    chat.send("Go on")
    chat.reads(first)
    chat.page.get_by_test_id("stop").click()
    chat.has_status("stopped")


def test_a_stopped_answer_says_so_and_goes_on_as_the_same_message(
    chat: ChatPage, model: OpenAIServer
) -> None:
    stop_after(chat, model, "First, ")
    expect(chat.answer).to_contain_text("You stopped this answer.")
    model.script(answer("then."))

    chat.page.get_by_test_id("continue").click()

    chat.has_status("done")
    chat.reads("First, then.")
    expect(chat.page.get_by_test_id("continue")).to_have_count(0)
    assert chat.stored()[-1] == ("assistant", "First, then.", "complete")


def test_an_answer_made_anew_stands_beside_the_first_and_both_can_be_seen(
    chat: ChatPage, model: OpenAIServer
) -> None:
    model.script(answer("One."), answer("Two."))
    chat.send("Count")
    chat.has_status("done")
    chat.page.get_by_test_id("regenerate").click()
    chat.reads("Two.")
    chat.has_status("done")
    versions = chat.answer.get_by_test_id("branches")
    expect(versions).to_have_text("2/2")

    versions.get_by_role("button", name="Previous version").click()
    chat.reads("One.")
    expect(versions).to_have_text("1/2")
    chat.page.reload()

    chat.reads("One.")
    versions.get_by_role("button", name="Next version").click()
    chat.reads("Two.")
    assert len(model.requests) == 2


def test_a_prompt_asked_in_other_words_begins_a_branch_and_the_first_one_stays(
    chat: ChatPage, model: OpenAIServer
) -> None:
    model.script(answer("Paris."), answer("Rome."))
    chat.send("Capital of France?")
    chat.has_status("done")
    prompt = chat.page.get_by_test_id("prompt-message")

    prompt.hover()
    chat.page.get_by_test_id("edit").click()
    chat.page.get_by_test_id("edit-box").fill("Capital of Italy?")
    chat.page.keyboard.press("Enter")

    chat.reads("Rome.")
    expect(prompt).to_have_text("Capital of Italy?")
    chat.has_status("done")
    expect(chat.prompt).to_be_focused()
    chat.page.get_by_role("button", name="Previous version").click()
    expect(prompt).to_have_text("Capital of France?")
    chat.reads("Paris.")
    assert len(model.requests) == 2


def test_an_edit_can_be_given_up(chat: ChatPage, model: OpenAIServer) -> None:
    chat.send("Hello?")
    chat.has_status("done")
    edit = chat.page.get_by_test_id("edit")
    edit.focus()
    chat.page.keyboard.press("Enter")
    chat.page.keyboard.type(" Anybody?")

    chat.page.keyboard.press("Escape")

    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("Hello?")
    expect(edit).to_be_focused()
    assert len(model.requests) == 1


def test_the_newest_prompt_is_edited_when_the_composer_asks_for_it(chat: ChatPage) -> None:
    for text in ("One", "Two"):
        chat.send(text)
        chat.has_status("done")

    chat.page.evaluate("window.dispatchEvent(new Event('chat:edit-last'))")

    expect(chat.page.get_by_test_id("edit-box")).to_have_value("Two")
    expect(chat.page.get_by_test_id("edit-box")).to_be_focused()


def test_nothing_can_be_regenerated_or_edited_while_an_answer_is_written(
    chat: ChatPage, model: OpenAIServer
) -> None:
    chat.send("Hello?")
    chat.has_status("done")
    model.script(held("First, ", "then."))
    chat.send("And now?")
    chat.reads("First, ")

    for action in ("regenerate", "edit"):
        expect(chat.page.get_by_test_id(action).first).not_to_be_visible()
    expect(chat.page.get_by_test_id("copy-answer")).to_be_visible()

    model.release()
    chat.has_status("done")
    expect(chat.page.get_by_test_id("regenerate").first).to_be_visible()


def test_a_failed_answer_is_retried_from_its_card_and_leaves_no_trace(
    chat: ChatPage, model: OpenAIServer
) -> None:
    model.script(Reply(status=500, body=(b"{}",)), answer("Here."))
    chat.send("Hello?")
    trouble = chat.page.get_by_test_id("answer-trouble")
    expect(trouble).to_contain_text("The model could not be reached")

    trouble.get_by_role("button", name="Retry").click()

    chat.reads("Here.")
    chat.has_status("done")
    expect(trouble).to_have_count(0)
    assert chat.stored() == [("user", "Hello?", "complete"), ("assistant", "Here.", "complete")]


def test_an_answer_that_broke_off_keeps_its_text_and_a_retry_continues_it(
    chat: ChatPage, model: OpenAIServer
) -> None:
    model.script(Reply(body=(ROLE, *texts("First, "), Cue.RESET)), answer("then."))
    chat.send("Go on")
    trouble = chat.page.get_by_test_id("answer-trouble")
    expect(trouble).to_be_visible()
    chat.reads("First, ")

    trouble.get_by_role("button", name="Retry").click()

    chat.reads("First, then.")
    chat.has_status("done")
    expect(trouble).to_have_count(0)


def test_an_answer_stopped_before_its_first_word_can_be_asked_for_again(
    chat: ChatPage, model: OpenAIServer
) -> None:
    model.script(Reply(body=(ROLE, Cue.HOLD, *ending())), answer("Here."))
    chat.send("Hello?")
    expect(chat.page.get_by_test_id("thinking")).to_be_visible()
    chat.page.get_by_test_id("stop").click()
    trouble = chat.page.get_by_test_id("answer-trouble")
    expect(trouble).to_contain_text("You stopped the answer before it began.")

    trouble.get_by_role("button", name="Retry").click()

    chat.reads("Here.")


def test_an_answer_shows_its_model_its_duration_and_its_length(chat: ChatPage) -> None:
    chat.send("Hello?")
    chat.has_status("done")

    details = chat.page.get_by_test_id("details")

    expect(details).to_contain_text("test-model")
    expect(details).to_contain_text(" s · 3 tokens")


def test_the_reasoning_is_folded_and_can_be_opened_while_the_model_thinks(
    chat: ChatPage, model: OpenAIServer
) -> None:
    body = (ROLE, *reasoning("Hm. "), Cue.HOLD, *reasoning("Aha."), *texts("So."), *ending())
    model.script(Reply(body=body))
    chat.send("Why?")
    fold = chat.page.get_by_test_id("reasoning").get_by_role("button")
    expect(fold).to_have_text("Thinking…")
    expect(chat.page.get_by_text("Hm.")).to_have_count(0)
    fold.click()
    expect(chat.page.get_by_text("Hm.")).to_be_visible()

    model.release()

    chat.reads("So.")
    expect(chat.page.get_by_text("Hm. Aha.")).to_be_visible()
    expect(fold).to_have_text("Thought for 1 s")
    chat.has_status("done")
    chat.page.reload()
    chat.reads("So.")
    expect(fold).to_have_text("Thought for 1 s")
    expect(chat.page.get_by_text("Hm. Aha.")).to_have_count(0)


@pytest.mark.parametrize("action", ["copy-prompt", "edit", "copy-answer", "regenerate"])
def test_every_action_has_a_name_and_is_reached_by_the_keyboard(
    chat: ChatPage, action: str
) -> None:
    chat.send("Hello?")
    chat.has_status("done")
    button = chat.page.get_by_test_id(action)

    button.focus()

    expect(button).to_be_focused()
    expect(button).to_have_css("opacity", "1")
    assert button.get_attribute("aria-label")


def test_a_lost_connection_says_so_and_clears_by_itself_when_the_network_is_back(
    chat: ChatPage, model: OpenAIServer
) -> None:
    stream = re.compile(r"/api/chat\?chatId=")
    model.script(held("First, ", "then."))
    chat.send("Go on")
    chat.reads("First, ")
    chat.page.route(stream, lambda route: route.fulfill(status=404, json={"code": "not_found"}))
    chat.page.reload()
    lost = chat.page.get_by_test_id("disconnected")
    expect(lost).to_contain_text("Connection lost. The answer continues on the server.")

    chat.page.unroute(stream)
    chat.page.evaluate("window.dispatchEvent(new Event('online'))")

    chat.reads("First, ")
    expect(lost).to_have_count(0)
    expect(chat.page.get_by_text("Reconnected. Nothing was lost.")).to_be_visible()
    expect(chat.page.locator(".banner")).to_have_count(0)
    model.release()
    chat.has_status("done")
    assert chat.stored()[-1] == ("assistant", "First, then.", "complete")
