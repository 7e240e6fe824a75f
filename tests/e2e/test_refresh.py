"""The main promise: an answer survives a refresh and a closed tab, and a second device joins in."""

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.chat_page import CHAT_URL, ChatPage
from tests.e2e.held import Held
from tests.support.openai_server import ROLE, Cue, OpenAIServer, Reply, ending, texts

pytestmark = pytest.mark.parametrize("app", ["prod", "dev"], indirect=True)

FIRST = ["# A walk\n\n", "Some *words* first, ", "then a list:\n\n", "- one\n- two ☃\n"]
MIDDLE = ["\n```python\n", 'print("<b>hello</b>")', "\n```\n\n", "| a | b |\n|---|---|\n"]
LAST = ["| 1 | 2 |\n\n", "and the **end**. "]
WHOLE = "".join([*FIRST, *MIDDLE, *LAST])


def in_three_steps() -> Reply:
    """Return an answer that pauses before its first delta, in its middle, and before its end."""
    return Reply(
        body=(
            ROLE,
            Cue.HOLD,
            *texts(*FIRST),
            Cue.HOLD,
            *texts(*MIDDLE),
            *texts(*LAST),
            Cue.HOLD,
            *ending(),
        )
    )


def test_a_refresh_before_the_page_knows_of_the_chat_it_began_opens_that_chat(
    chat: ChatPage, model: OpenAIServer
) -> None:
    model.script(in_three_steps())
    expect(chat.prompt).to_be_enabled()
    held = Held(chat.page)
    chat.page.reload()
    chat.prompt.fill("Where do we go?")
    held.begin()
    chat.prompt.press("Enter")
    held.wait_for("Where do we go?")

    chat.page.reload()

    chat.page.wait_for_url(CHAT_URL)
    expect(chat.prompt).to_have_value("")
    goes_on_to_the_end(chat, model, seen="")
    chat.page.get_by_test_id("new-chat").click()
    expect(chat.page.get_by_test_id("greeting")).to_be_visible()
    expect(chat.prompt).to_have_value("")


def test_a_refresh_before_the_first_delta_loses_nothing(
    chat: ChatPage, model: OpenAIServer
) -> None:
    model.script(in_three_steps())
    chat.send("Where do we go?")
    expect(chat.page.get_by_test_id("thinking")).to_be_visible()

    chat.page.reload()

    expect(chat.page.get_by_test_id("thinking")).to_be_visible()
    goes_on_to_the_end(chat, model, seen="")


def test_a_refresh_in_the_middle_shows_the_text_so_far_and_goes_on(
    chat: ChatPage, model: OpenAIServer
) -> None:
    model.script(in_three_steps())
    chat.send("Where do we go?")
    model.release()
    chat.reads("".join(FIRST))

    chat.page.reload()

    chat.reads("".join(FIRST))
    goes_on_to_the_end(chat, model, seen="".join(FIRST))


def test_a_refresh_just_before_the_end_shows_it_all(chat: ChatPage, model: OpenAIServer) -> None:
    model.script(in_three_steps())
    chat.send("Where do we go?")
    model.release()
    model.release()
    chat.reads(WHOLE)

    chat.page.reload()

    chat.reads(WHOLE)
    chat.has_status("streaming")
    goes_on_to_the_end(chat, model, seen=WHOLE)


def goes_on_to_the_end(chat: ChatPage, model: OpenAIServer, *, seen: str) -> None:
    """Let the answer go on from `seen`; finally the page and the database have it whole, once."""
    if seen == "":
        model.release()
        chat.reads("".join(FIRST))
    if seen != WHOLE:
        model.release()
        chat.reads(WHOLE)
    model.release()
    chat.has_status("done")
    chat.reads(WHOLE)
    assert chat.stored() == [
        ("user", "Where do we go?", "complete"),
        ("assistant", WHOLE, "complete"),
    ]
    assert len(model.requests) == 1


def test_three_refreshes_during_an_answer_cause_no_second_one(
    chat: ChatPage, model: OpenAIServer
) -> None:
    model.script(in_three_steps())
    chat.send("Where do we go?")
    for _ in range(3):
        chat.page.reload()
        model.release()

    chat.has_status("done")
    chat.reads(WHOLE)
    assert len(model.requests) == 1
    assert len(chat.stored()) == 2


def test_a_tab_closed_for_the_whole_answer_finds_it_finished(
    chat: ChatPage, context: BrowserContext, model: OpenAIServer
) -> None:
    model.script(in_three_steps())
    chat.send("Where do we go?")
    address = chat.page.url
    chat.page.close()
    for _ in range(3):
        model.release()

    later = ChatPage(context.new_page(), database=chat.database)
    later.open(address)

    later.has_status("done")
    later.reads(WHOLE)
    assert len(model.requests) == 1


def test_a_refresh_after_the_end_starts_nothing(chat: ChatPage, model: OpenAIServer) -> None:
    chat.send("Hello?")
    chat.has_status("done")
    before = chat.stored()

    chat.page.reload()

    chat.has_status("done")
    chat.reads(before[-1][1])
    expect(chat.page.get_by_test_id("send")).to_be_visible()
    assert chat.stored() == before
    assert len(model.requests) == 1


def test_a_second_device_joins_in_mid_answer_and_both_see_the_end(
    chat: ChatPage, context: BrowserContext, model: OpenAIServer
) -> None:
    model.script(in_three_steps())
    chat.send("Where do we go?")
    model.release()
    chat.reads("".join(FIRST))

    second = ChatPage(context.new_page(), database=chat.database)
    second.open(chat.page.url)
    second.reads("".join(FIRST))
    model.release()
    model.release()

    for device in (chat, second):
        device.has_status("done")
        device.reads(WHOLE)
    assert len(model.requests) == 1


def test_stop_after_a_refresh_keeps_the_text_so_far(chat: ChatPage, model: OpenAIServer) -> None:
    model.script(in_three_steps())
    chat.send("Where do we go?")
    model.release()
    chat.reads("".join(FIRST))
    chat.page.reload()
    chat.reads("".join(FIRST))

    chat.page.get_by_test_id("stop").click()

    chat.has_status("stopped")
    chat.reads("".join(FIRST))
    assert chat.stored()[-1] == ("assistant", "".join(FIRST), "stopped")


def test_the_copy_button_copies_the_exact_text(chat: ChatPage, model: OpenAIServer) -> None:
    model.script(in_three_steps())
    chat.send("Where do we go?")
    for _ in range(3):
        model.release()
    chat.has_status("done")

    chat.page.get_by_test_id("copy-answer").click()

    expect(chat.page.get_by_text("Copied")).to_be_attached()
    assert chat.page.evaluate("navigator.clipboard.readText()") == WHOLE


def test_model_output_is_never_html(chat: ChatPage, page: Page, model: OpenAIServer) -> None:
    hostile = (
        '<img src=x onerror="window.owned=1"> <script>window.owned=1</script> '
        "<iframe srcdoc='x'></iframe> [link](javascript:window.owned=1) ![pic](http://example.test/x)"
    )
    model.script(Reply(body=(ROLE, *texts(hostile), *ending())))
    chat.send("Be bad")
    chat.has_status("done")

    assert page.evaluate("window.owned") is None
    for tag in ("iframe", "script", "img"):
        assert chat.answer.locator(tag).count() == 0
    assert page.locator("a[href^='javascript']").count() == 0


def test_nobody_else_sees_the_chat(
    chat: ChatPage, context: BrowserContext, model: OpenAIServer
) -> None:
    chat.send("A secret")
    chat.has_status("done")
    browser = context.browser
    assert browser is not None
    stranger = browser.new_context()
    try:
        page = stranger.new_page()
        page.goto(chat.page.url)
        expect(page.get_by_test_id("not-found")).to_be_visible()
        expect(page.get_by_text("A secret")).to_have_count(0)
    finally:
        stranger.close()


def test_a_failure_of_the_provider_is_explained_and_survives_a_refresh(
    chat: ChatPage, model: OpenAIServer
) -> None:
    model.script(Reply(status=500, body=(b"{}",)))
    chat.send("Hello?")
    trouble = chat.page.get_by_test_id("answer-trouble")
    expect(trouble).to_be_visible()

    chat.page.reload()

    expect(trouble).to_be_visible()
    assert [role for role, _, _ in chat.stored()] == ["user"]


@pytest.mark.parametrize("text", ["   ", ""])
def test_an_empty_prompt_cannot_be_sent(chat: ChatPage, text: str) -> None:
    chat.prompt.fill(text)

    expect(chat.page.get_by_test_id("send")).to_be_disabled()
