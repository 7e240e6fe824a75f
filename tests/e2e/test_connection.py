"""What the reader sees when a connection cannot be made, and how it comes back."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.chat_page import ChatPage
from tests.support.openai_server import ROLE, Cue, OpenAIServer, Reply, ending, texts

pytestmark = pytest.mark.parametrize("app", ["prod", "dev"], indirect=True)

STREAM = re.compile(r"/api/chat\?chatId=")


def test_a_refused_stream_is_not_an_end_and_can_be_reconnected(
    chat: ChatPage, model: OpenAIServer
) -> None:
    model.script(Reply(body=(ROLE, *texts("First, "), Cue.HOLD, *texts("then."), *ending())))
    chat.send("Go on")
    chat.reads("First, ")
    chat.page.route(
        STREAM, lambda route: route.fulfill(status=404, json={"code": "chat_not_found"})
    )
    chat.page.reload()
    chat.has_status("disconnected")

    chat.page.unroute(STREAM)
    chat.page.get_by_role("button", name="Reconnect").click()
    chat.reads("First, ")
    model.release()

    chat.has_status("done")
    chat.reads("First, then.")


def test_an_end_that_the_stream_can_no_longer_report_is_read_from_the_database(
    chat: ChatPage, model: OpenAIServer
) -> None:
    model.script(Reply(body=(ROLE, *texts("First, "), Cue.HOLD, *texts("then."), *ending())))
    chat.send("Go on")
    chat.reads("First, ")
    chat.page.route(STREAM, lambda route: route.fulfill(status=404, json={"code": "not_found"}))
    chat.page.reload()
    chat.has_status("disconnected")
    model.release()

    chat.page.get_by_role("button", name="Reconnect").click()

    chat.has_status("done")
    chat.reads("First, then.")


def test_an_unreachable_server_is_retried_automatically(
    chat: ChatPage, model: OpenAIServer
) -> None:
    model.script(Reply(body=(ROLE, *texts("First, "), Cue.HOLD, *texts("then."), *ending())))
    chat.send("Go on")
    chat.reads("First, ")
    chat.page.clock.install()
    chat.page.route(STREAM, lambda route: route.abort())
    chat.page.reload()
    chat.page.clock.run_for(10_000)  # three tries
    chat.has_status("disconnected")

    chat.page.unroute(STREAM)
    chat.page.clock.run_for(16_000)

    chat.reads("First, ")
    expect(chat.page.get_by_test_id("disconnected")).to_have_count(0)
    model.release()
    chat.has_status("done")
