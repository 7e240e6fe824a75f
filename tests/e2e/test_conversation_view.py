"""How a conversation looks while it grows: nothing jumps, and nothing is announced twice."""

import re

from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.chat_page import ChatPage
from tests.support.openai_server import ROLE, Cue, OpenAIServer, Reply, answer, ending, texts

LONG = "\n\n".join(f"Paragraph {number} of a long answer." for number in range(60))
CODE = (
    "Look:\n\n```python\ndef walk(home: str) -> int:\n    return 42  # " + "far " * 60 + "\n```\n"
)
WATCH_SHIFTS = """() => {
  window.shifts = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.shifts.push(entry.value);
  }).observe({ type: "layout-shift", buffered: false });
}"""
DISTANCE_TO_END = """() => {
  const area = document.querySelector("[data-testid=scroll-area]");
  return Math.round(area.scrollHeight - area.scrollTop - area.clientHeight);
}"""
TOP = "() => document.querySelector('[data-testid=scroll-area]').scrollTop"
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def in_two_steps(first: str, then: str) -> Reply:
    """Return an answer that pauses in its middle and before its end."""
    return Reply(body=(ROLE, *texts(first), Cue.HOLD, *texts(then), Cue.HOLD, *ending()))


def scroll_up(page: Page, *, by: int) -> None:
    page.get_by_test_id("scroll-area").hover()
    there = page.evaluate(TOP) - by
    page.mouse.wheel(0, -by)
    # The browser takes several frames to scroll.
    page.wait_for_function(f"there => Math.abs(({TOP})() - there) <= 1", arg=there)


def go_back(page: Page) -> None:
    """Scroll to the first message shown, so that earlier ones appear above it."""
    page.get_by_test_id("scroll-area").hover()
    page.mouse.wheel(0, -100_000)


def test_nothing_moves_when_an_answer_ends_and_the_stored_one_is_the_same(
    chat: ChatPage, model: OpenAIServer
) -> None:
    table = "\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- one\n- two\n"
    model.script(in_two_steps(CODE, table))
    chat.send("Show me")
    model.release()
    chat.reads(CODE + table)
    expect(chat.answer.locator(".hljs-keyword").first).to_be_visible()
    markdown = chat.answer.locator(".md")
    streamed, place = markdown.inner_html(), markdown.bounding_box()
    chat.page.evaluate(WATCH_SHIFTS)

    model.release()

    chat.has_status("done")
    expect(chat.page.get_by_test_id("details")).to_contain_text("test-model")
    assert markdown.inner_html() == streamed
    assert markdown.bounding_box() == place
    assert chat.page.evaluate("window.shifts") == []
    chat.page.reload()
    expect(chat.answer.locator(".hljs-keyword").first).to_be_visible()
    assert markdown.inner_html() == streamed


def test_code_has_colours_a_copy_button_and_wraps_on_request(
    chat: ChatPage, model: OpenAIServer
) -> None:
    model.script(answer(CODE))
    chat.send("Show me")
    chat.has_status("done")
    block = chat.page.get_by_test_id("code-block")
    expect(block.locator(".hljs-keyword").first).to_have_text("def")
    expect(block).to_contain_text("python")
    code = block.locator("pre")
    assert code.evaluate("pre => pre.scrollWidth > pre.clientWidth")

    block.get_by_role("button", name="Wrap long lines").click()
    assert code.evaluate("pre => pre.scrollWidth <= pre.clientWidth")

    block.get_by_role("button", name="Copy code").click()
    expect(block.get_by_text("Copied")).to_be_attached()
    copied = chat.page.evaluate("navigator.clipboard.readText()")
    assert copied == CODE.partition("python\n")[2].rpartition("\n```")[0]


def test_formulas_are_typeset_and_money_and_code_are_left_alone(
    chat: ChatPage, model: OpenAIServer
) -> None:
    text = "It costs $5 or $6, `\\(x\\)`, and \\(a^2\\) is\n\n\\[ b^2 \\]\n\n$$\nc^2\n$$\n"
    model.script(answer(text))
    chat.send("Prove it")
    chat.has_status("done")

    expect(chat.answer.locator(".katex")).to_have_count(3)
    expect(chat.answer.locator(".katex-display")).to_have_count(2)
    expect(chat.answer).to_contain_text("It costs $5 or $6, \\(x\\), and")


def test_code_with_the_brackets_of_formulas_is_shown_and_copied_as_it_is(
    chat: ChatPage, model: OpenAIServer
) -> None:
    code = "find . \\( -name a -o -name b \\) -print"
    model.script(answer(f"\\(a^2\\), and escape \\( so:\n\n~~~sh\n{code}\n~~~\n"))
    chat.send("Find it")
    chat.has_status("done")

    expect(chat.answer.locator(".katex")).to_have_count(1)
    expect(chat.answer.locator("pre")).to_have_text(code)
    chat.answer.get_by_role("button", name="Copy code").click()
    expect(chat.answer.get_by_text("Copied")).to_be_attached()
    assert chat.page.evaluate("navigator.clipboard.readText()") == code


def test_a_footnote_link_stays_on_the_page_and_each_answer_has_its_own_footnotes(
    chat: ChatPage, context: BrowserContext, model: OpenAIServer
) -> None:
    text = "See[^1].\n\n" + LONG + "\n\n[^1]: The note.\n"
    model.script(answer(text), answer(text))
    for prompt in ("And why?", "And how?"):
        chat.send(prompt)
        chat.has_status("done")
    address = chat.page.url
    first = chat.page.get_by_test_id("answer").first
    there, back = first.get_by_role("link", name="1", exact=True), first.get_by_label("Back to")

    there.click()

    expect(back).to_be_in_viewport()
    expect(first.locator("li:focus")).to_contain_text("The note.")
    back.click()
    expect(there).to_be_in_viewport()
    assert len(context.pages) == 1
    assert chat.page.url == address
    ids = chat.page.locator("[data-testid=answer] .md li[id], [data-testid=answer] .md sup [id]")
    assert len(set(ids.evaluate_all("all => all.map((one) => one.id)"))) == ids.count()


def test_a_page_without_code_or_formulas_fetches_nothing_for_them(
    chat: ChatPage, model: OpenAIServer
) -> None:
    chat.send("Hello?")
    chat.has_status("done")
    fetched = "() => performance.getEntriesByType('resource').map((entry) => entry.name)"
    before = set(chat.page.evaluate(fetched))
    assert not [name for name in before if re.search("math|lowlight|katex", name)]

    model.script(answer(CODE))
    chat.send("Show me")
    expect(chat.answer.locator(".hljs-keyword").first).to_be_visible()

    assert [name for name in set(chat.page.evaluate(fetched)) - before if ".js" in name]


def test_the_view_stays_at_the_end_until_the_reader_scrolls_up(
    chat: ChatPage, model: OpenAIServer
) -> None:
    model.script(in_two_steps(LONG, "\n\nMore of it.\n\nAnd more."))
    chat.send("Tell me")
    chat.reads(LONG)
    chat.page.wait_for_function(f"() => ({DISTANCE_TO_END})() === 0")
    scroll_up(chat.page, by=600)
    place = chat.page.evaluate(TOP)

    model.release()

    chat.reads(LONG + "\n\nMore of it.\n\nAnd more.")
    expect(chat.page.get_by_test_id("new-text")).to_be_visible()
    model.release()
    chat.has_status("done")
    assert chat.page.evaluate(TOP) == place
    chat.page.get_by_test_id("jump").click()
    assert chat.page.evaluate(DISTANCE_TO_END) == 0
    expect(chat.page.get_by_test_id("jump")).to_have_count(0)


def test_a_new_prompt_goes_to_the_end(chat: ChatPage, model: OpenAIServer) -> None:
    model.script(answer(LONG), answer("Short."))
    chat.send("Tell me")
    chat.has_status("done")
    scroll_up(chat.page, by=600)

    chat.send("And now?")

    chat.reads("Short.")
    chat.page.wait_for_function(f"() => ({DISTANCE_TO_END})() === 0")


def test_a_refresh_finds_the_place_where_the_reader_was(
    chat: ChatPage, model: OpenAIServer
) -> None:
    model.script(answer(LONG))
    chat.send("Tell me")
    chat.has_status("done")
    scroll_up(chat.page, by=500)
    place = chat.page.evaluate(TOP)

    chat.page.reload()

    chat.has_status("done")
    expect(chat.page.get_by_test_id("jump")).to_be_visible()
    assert abs(chat.page.evaluate(TOP) - place) <= 1


def test_a_screen_reader_is_told_of_the_beginning_and_the_end_and_never_the_text(
    chat: ChatPage, model: OpenAIServer
) -> None:
    model.script(in_two_steps("First, ", "then."))
    chat.send("Go on")
    chat.reads("First, ")
    said = chat.page.get_by_test_id("said")
    expect(said).to_have_text("Generating…")
    expect(chat.answer).to_have_attribute("aria-busy", "true")
    expect(chat.page.get_by_role("log")).to_have_attribute("aria-live", "off")

    model.release()
    model.release()

    expect(said).to_have_text("Answer complete.")
    expect(chat.answer).to_have_attribute("aria-busy", "false")
    assert said.get_attribute("role") == "status"
    model.script(in_two_steps("One, ", "two."))
    chat.send("Again")
    chat.reads("One, ")
    chat.page.get_by_test_id("stop").click()
    expect(said).to_have_text("Answer stopped.")


def permit_notifications(page: Page, setting: str) -> None:
    """Set the browser's answer to a request for permission to `setting`."""
    session = page.context.new_cdp_session(page)
    context_id = session.send("Target.getTargetInfo")["targetInfo"]["browserContextId"]
    session.send(
        "Browser.setPermission",
        {
            "permission": {"name": "notifications"},
            "setting": setting,
            "browserContextId": context_id,
        },
    )


def test_an_answer_that_ends_unseen_marks_the_tab_and_offers_a_notification(
    chat: ChatPage, model: OpenAIServer
) -> None:
    permit_notifications(chat.page, "prompt")
    model.script(in_two_steps("First, ", "then."))
    chat.send("Go on")
    chat.reads("First, ")
    title = chat.page.title()
    expect(chat.page.get_by_test_id("offer")).to_have_count(0)
    chat.page.evaluate(HIDE, arg=True)

    model.release()
    model.release()

    chat.page.wait_for_function("() => document.title.startsWith('● ')")
    chat.page.evaluate(HIDE, arg=False)
    chat.page.wait_for_function("title => document.title === title", arg=title)
    offer = chat.page.get_by_test_id("offer")
    expect(offer).to_be_visible()
    offer.get_by_role("button", name="No thanks").click()
    expect(offer).to_have_count(0)


def test_the_mark_goes_when_the_reader_is_back_however_many_answers_have_ended(
    chat: ChatPage, model: OpenAIServer
) -> None:
    permit_notifications(chat.page, "denied")
    model.script(in_two_steps("First, ", "then."), in_two_steps("Second, ", "then."))
    chat.send("Go on")
    chat.reads("First, ")
    title = chat.page.title()
    chat.prompt.fill("And then?")
    chat.prompt.press("Enter")
    expect(chat.page.get_by_test_id("waits")).to_be_visible()
    chat.page.evaluate(HIDE, arg=True)
    for _ in range(2):
        model.release()
    chat.reads("Second, ")
    for _ in range(2):
        model.release()
    chat.has_status("done")
    expect(chat.page.get_by_test_id("said")).to_have_text("Answer complete.")

    chat.page.evaluate(HIDE, arg=False)

    chat.page.wait_for_function("title => document.title === title", arg=title)


def test_an_answer_that_ends_unseen_notifies_a_reader_who_allowed_it(
    chat: ChatPage, model: OpenAIServer
) -> None:
    permit_notifications(chat.page, "granted")
    model.script(in_two_steps("First, ", "then."))
    chat.send("Go on")
    chat.reads("First, ")
    chat.page.evaluate(
        """() => {
          window.notified = [];
          const record = (title, { body }) => window.notified.push([title, body]);
          window.Notification = class extends Notification {
            constructor(...told) { super(...told); record(...told); }
          };
        }"""
    )
    chat.page.evaluate(HIDE, arg=True)

    model.release()
    model.release()

    chat.page.wait_for_function("() => window.notified.length === 1")
    assert chat.page.evaluate("window.notified") == [["Go on", "Answer complete."]]
    chat.page.evaluate(HIDE, arg=False)
    expect(chat.page.get_by_test_id("offer")).to_have_count(0)


def test_an_answer_that_ends_unseen_is_shown_where_notifications_cannot_be_made(
    chat: ChatPage, model: OpenAIServer
) -> None:
    permit_notifications(chat.page, "granted")
    model.script(in_two_steps("First, ", "then."))
    chat.send("Go on")
    chat.reads("First, ")
    chat.page.evaluate(
        """() => {
          window.Notification = class {
            static permission = "granted";
            constructor() { throw new TypeError("Illegal constructor"); }
          };
        }"""
    )
    chat.page.evaluate(HIDE, arg=True)

    model.release()
    model.release()

    chat.page.wait_for_function("() => document.title.startsWith('● ')")
    chat.page.evaluate(HIDE, arg=False)
    chat.has_status("done")
    chat.reads("First, then.")


def test_a_long_chat_shows_its_end_first_and_the_rest_as_the_reader_goes_back(
    chat: ChatPage,
) -> None:
    chat.send("Prompt 0")
    chat.has_status("done")
    chat.lengthen(turns=249, reply=CODE + LONG[:1500])

    chat.page.reload()

    prompts = chat.page.get_by_test_id("prompt-message")
    expect(prompts.last).to_have_text("Prompt 249")
    assert prompts.count() == 6
    go_back(chat.page)
    expect(prompts).to_have_count(36)
    expect(prompts.nth(30)).to_be_in_viewport()  # the one that was first before


def test_a_long_chat_of_short_messages_fills_the_screen(chat: ChatPage) -> None:
    chat.send("Prompt 0")
    chat.has_status("done")
    chat.lengthen(turns=49, reply="Yes.")

    chat.page.reload()

    prompts = chat.page.get_by_test_id("prompt-message")
    expect(prompts).to_have_count(36)
    expect(prompts.last).to_be_in_viewport()


def test_a_refresh_finds_a_place_far_back_in_a_long_chat(chat: ChatPage) -> None:
    chat.send("Prompt 0")
    chat.has_status("done")
    chat.lengthen(turns=99, reply=CODE)
    chat.page.reload()
    prompts = chat.page.get_by_test_id("prompt-message")
    expect(prompts.last).to_have_text("Prompt 99")
    go_back(chat.page)
    expect(prompts).to_have_count(36)
    there = chat.page.get_by_text("Prompt 80", exact=True)
    there.scroll_into_view_if_needed()
    place = there.bounding_box()

    chat.page.reload()

    expect(there).to_be_in_viewport()
    assert there.bounding_box() == place


def test_a_printed_page_has_the_whole_conversation_and_no_controls(
    chat: ChatPage, model: OpenAIServer
) -> None:
    long = "\n\n".join(f"Paragraph {number}." for number in range(60))
    model.script(answer(long))
    chat.send("Tell me a lot")
    chat.has_status("done")

    chat.page.emulate_media(media="print")

    expect(chat.page.get_by_test_id("sidebar")).to_be_hidden()
    expect(chat.page.get_by_test_id("composer")).to_be_hidden()
    area = chat.page.get_by_test_id("scroll-area")
    assert area.evaluate("area => area.scrollHeight <= area.clientHeight + 1")


def test_a_long_chat_is_printed_whole_or_says_that_messages_are_missing(chat: ChatPage) -> None:
    chat.send("The first one")
    chat.has_status("done")
    chat.lengthen(turns=40, reply="A reply.\n\n" * 8)
    chat.page.reload()
    expect(chat.page.get_by_text("Prompt 40")).to_be_visible()
    chat.page.evaluate("window.print = () => { window.printed = document.body.innerText }")
    missing = chat.page.get_by_test_id("not-on-paper")
    expect(missing).to_be_hidden()
    chat.page.emulate_media(media="print")
    expect(missing).to_be_visible()
    chat.page.emulate_media(media="screen")

    chat.page.keyboard.press("Control+p")

    chat.page.wait_for_function("() => window.printed?.includes('The first one')")
    expect(missing).to_have_count(0)
    assert "Prompt 40" in chat.page.evaluate("window.printed")
