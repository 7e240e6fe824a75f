"""A choice of models, and the titles they make."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.chat_page import ChatPage
from tests.support.app_server import AppServer, running
from tests.support.openai_server import OpenAIServer, answer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, provider: OpenAIServer) -> Iterator[AppServer]:
    """The application with two models that also name the chats."""
    settings = {
        "CHAT_MODEL": "openai/first",
        "CHAT_MODELS": "openai/first,openai/second",
        "CHAT_TITLES": "model",
        "MODEL_API_BASE": provider.base_url,
        "MODEL_API_KEY": "test-key",
    }
    folder = tmp_path_factory.mktemp("models")
    with running(AppServer(folder=folder, mode="prod", settings=settings)) as server:
        yield server


@pytest.fixture
def page(browser: Browser, server: AppServer) -> Iterator[Page]:
    context = browser.new_context(base_url=server.page, viewport={"width": 1280, "height": 800})
    yield context.new_page()
    context.close()


@pytest.fixture
def chat(page: Page, server: AppServer) -> ChatPage:
    chat = ChatPage(page, database=Path(server.folder) / "chat.db")
    chat.open()
    return chat


def test_the_model_that_is_chosen_answers_also_after_a_refresh(
    chat: ChatPage, model: OpenAIServer
) -> None:
    picker = chat.page.get_by_test_id("model-picker")
    expect(picker).to_have_value("openai/first")

    picker.select_option("openai/second")
    # The browser stores the choice once the server has received it.
    chat.page.wait_for_function("() => localStorage.getItem('chat.model') === 'openai/second'")
    chat.page.reload()
    expect(picker).to_have_value("openai/second")
    chat.send("Who are you?")
    chat.has_status("done")

    assert model.requests[0].body["model"] == "second"


def test_the_chosen_model_answers_regenerations_and_edited_prompts(
    chat: ChatPage, model: OpenAIServer
) -> None:
    chat.send("Who are you?")
    chat.has_status("done")
    chat.page.get_by_test_id("model-picker").select_option("openai/second")

    chat.page.get_by_test_id("regenerate").click()
    expect(chat.answer.get_by_test_id("branches")).to_have_text("2/2")
    chat.has_status("done")
    expect(chat.page.get_by_test_id("details")).to_contain_text("second")
    chat.page.get_by_test_id("edit").focus()
    chat.page.keyboard.press("Enter")
    chat.page.get_by_test_id("edit-box").fill("And you?")
    chat.page.keyboard.press("Enter")
    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("And you?")
    chat.has_status("done")

    asked = [request.body["model"] for request in model.requests]
    assert [name for name in asked if name != "first"] == ["second", "second"]


def test_a_model_that_is_not_offered_is_not_asked(chat: ChatPage, model: OpenAIServer) -> None:
    chat.page.evaluate("localStorage.setItem('chat.model', 'openai/costly')")
    chat.page.reload()

    expect(chat.page.get_by_test_id("model-picker")).to_have_value("openai/first")
    chat.send("Who are you?")
    chat.has_status("done")

    assert model.requests[0].body["model"] == "first"


def test_the_title_that_the_model_made_appears_by_itself(
    chat: ChatPage, model: OpenAIServer
) -> None:
    model.script(answer("To the ", "sea."), answer('"Trip to ', 'the sea"'))

    chat.send("Where do we go?")

    chat.reads("To the sea.")
    expect(chat.page.get_by_test_id("chat-link")).to_have_text("Trip to the sea", timeout=10_000)
    expect(chat.page.get_by_role("heading", name="Trip to the sea")).to_be_visible()
