"""The page behind a network that silently loses what is sent."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.chat_page import ChatPage
from tests.support.app_server import AppServer
from tests.support.openai_server import ROLE, Cue, OpenAIServer, Reply, answer, ending, texts
from tests.support.programs import CHROMIUM, find
from tests.support.tcp_proxy import TcpProxy, tcp_proxy_in_thread

LIVE_AGAIN = 15
"""Seconds; it takes five: two missed heartbeats of two seconds, and a new connection."""


@pytest.fixture
def proxy(app: AppServer) -> Iterator[TcpProxy]:
    """A proxy between the browser and the application."""
    with tcp_proxy_in_thread(port=app.port) as proxy:
        yield proxy


@pytest.fixture
def page(browser: Browser, app: AppServer, proxy: TcpProxy) -> Iterator[Page]:
    """A tab of a browser that maps the application's address to the proxy's."""
    rule = f"MAP 127.0.0.1:{app.port} 127.0.0.1:{proxy.port}"
    behind_proxy = browser.browser_type.launch(
        executable_path=find(CHROMIUM),
        args=["--no-sandbox", "--disable-gpu", f"--host-resolver-rules={rule}"],
    )
    yield behind_proxy.new_page(base_url=app.page)
    behind_proxy.close()


def test_a_silently_dead_connection_is_replaced(
    page: Page, app: AppServer, proxy: TcpProxy, model: OpenAIServer
) -> None:
    model.script(Reply(body=(ROLE, *texts("First, "), Cue.HOLD, *texts("then."), *ending())))
    chat = ChatPage(page, database=Path(app.folder) / "chat.db")
    chat.open()
    chat.send("Go on")
    chat.reads("First, ")

    proxy.swallow_streams()
    model.release()

    chat.reads("First, then.", within=LIVE_AGAIN)
    chat.has_status("done")


def test_a_prompt_is_shown_at_once_and_nothing_moves_when_the_server_has_it(
    page: Page, app: AppServer, proxy: TcpProxy, model: OpenAIServer
) -> None:
    chat = ChatPage(page, database=Path(app.folder) / "chat.db")
    chat.open()
    expect(chat.prompt).to_be_enabled()
    for text in ("Where do we go?", "And then?\n\nAnd how?"):
        model.script(Reply(body=(ROLE, Cue.HOLD, *texts("To the sea."), *ending())))
        proxy.hold()
        chat.prompt.fill(text)
        chat.prompt.press("Enter")

        sent = page.get_by_test_id("sent-prompt")
        expect(sent).to_have_text(text)
        expect(sent).to_be_in_viewport()
        expect(chat.prompt).to_have_value("")
        expect(page.get_by_test_id("greeting")).to_be_hidden()
        expect(page.get_by_test_id("sending")).to_have_css("opacity", "1")
        place = place_of(page, "sent-prompt")
        proxy.release()

        expect(page.get_by_test_id("prompt-message").last).to_have_text(text)
        expect(sent).to_have_count(0)
        assert place_of(page, "prompt-message") == place
        model.release()
        chat.has_status("done")
    assert len(model.requests) == 2


def place_of(page: Page, testid: str) -> dict[str, float]:
    """Return the place of the last such element, found and measured in one step in the page.

    An element handle could be stale, because the new-chat page gives way to the page of the chat.
    """
    return page.evaluate(
        "id => [...document.querySelectorAll(`[data-testid=${id}]`)]"
        ".at(-1).getBoundingClientRect().toJSON()",
        testid,
    )


def test_an_edited_prompt_is_shown_at_once(
    page: Page, app: AppServer, proxy: TcpProxy, model: OpenAIServer
) -> None:
    model.script(answer("Paris."), answer("Rome."))
    chat = ChatPage(page, database=Path(app.folder) / "chat.db")
    chat.open()
    chat.send("Capital of France?")
    chat.has_status("done")
    page.get_by_test_id("edit").focus()
    page.keyboard.press("Enter")
    page.get_by_test_id("edit-box").fill("Capital of Italy?")
    proxy.hold()

    page.keyboard.press("Enter")

    expect(page.get_by_test_id("sent-prompt")).to_have_text("Capital of Italy?")
    expect(page.get_by_test_id("edit-box")).to_be_hidden()
    expect(chat.answer).to_be_hidden()
    proxy.release()
    chat.reads("Rome.")
    expect(page.get_by_test_id("prompt-message")).to_have_text("Capital of Italy?")


def test_a_prompt_that_nobody_answers_goes_back_to_its_writer_and_stays_one_message(
    page: Page, app: AppServer, proxy: TcpProxy, model: OpenAIServer
) -> None:
    page.clock.install()
    chat = ChatPage(page, database=Path(app.folder) / "chat.db")
    chat.open()
    expect(chat.prompt).to_be_enabled()
    proxy.hold()
    chat.prompt.fill("Anybody?")
    chat.prompt.press("Enter")
    expect(page.get_by_test_id("sent-prompt")).to_be_visible()

    page.clock.fast_forward("00:16")

    expect(chat.prompt).to_have_value("Anybody?")
    expect(page.get_by_text("The server did not respond.")).to_be_visible()
    expect(page.get_by_test_id("sent-prompt")).to_have_count(0)
    chat.prompt.press("Enter")
    proxy.release()
    chat.has_status("done")
    expect(page.get_by_test_id("prompt-message")).to_have_text("Anybody?")
    expect(chat.prompt).to_have_value("")
    assert len(model.requests) == 1


def test_a_click_on_regenerate_is_acknowledged_at_once(
    page: Page, app: AppServer, proxy: TcpProxy, model: OpenAIServer
) -> None:
    model.script(answer("Paris."), answer("It is Paris."))
    chat = ChatPage(page, database=Path(app.folder) / "chat.db")
    chat.open()
    chat.send("Capital of France?")
    chat.has_status("done")
    anew = page.get_by_test_id("regenerate")
    proxy.hold()

    anew.dblclick()

    expect(anew).to_have_attribute("aria-busy", "true")
    expect(anew).to_be_disabled()
    proxy.release()
    chat.reads("It is Paris.")
    chat.has_status("done")
    expect(anew).to_be_enabled()
    expect(page.get_by_test_id("branches")).to_contain_text("2/2")
    expect(page.get_by_test_id("send-trouble")).to_have_count(0)


def test_an_answer_can_be_stopped_after_one_in_another_chat_was_stopped(
    page: Page, app: AppServer, proxy: TcpProxy, model: OpenAIServer
) -> None:
    held = Reply(body=(ROLE, *texts("So far."), Cue.HOLD, *ending()))
    model.script(held, held)
    chat = ChatPage(page, database=Path(app.folder) / "chat.db")
    chat.open()
    chat.send("First")
    first = chat.chat_id
    chat.reads("So far.")
    page.get_by_test_id("new-chat").click()
    chat.send("Second")
    chat.reads("So far.")
    proxy.hold()

    page.get_by_test_id("stop").click()
    page.locator(f"[data-chat='{first}']").click()
    proxy.release()

    expect(page.get_by_test_id("prompt-message")).to_have_text("First")
    page.get_by_test_id("stop").click()
    chat.has_status("stopped")
