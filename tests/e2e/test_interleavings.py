"""Late messages reach a reader who has moved on: none is misapplied, and nothing typed is lost."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.e2e.chat_page import CHAT_URL, ChatPage
from tests.e2e.held import Held
from tests.e2e.sidebar import Sidebar
from tests.support.openai_server import ROLE, Cue, OpenAIServer, Reply, ending, texts

NO_REPLY = 16_000  # ms without a reply after which the page lets the reader try again
HELD = Reply(body=(ROLE, *texts("So far."), Cue.HOLD, *ending()))

LINES = """
window.lines = [];
window.deaf = window.forgotten = false;
window.uplink = null; // while it is a list, what the page says is kept there
window.WebSocket = class extends WebSocket {
  constructor(url, ...rest) {
    // Another token is what a server gets that has never seen this page.
    super(window.forgotten ? url.replace(/token=[^&]*/, "token=" + crypto.randomUUID()) : url, ...rest);
    window.lines.push(this);
  }
  send(said) {
    if (window.uplink) window.uplink.push(() => super.send(said));
    else if (!window.deaf) super.send(said);
  }
};
"""

LOCK_IS_WANTED = """async () => {
  const wanted = async () => (await navigator.locks.query()).pending.some(({ name }) => name === "chat.session");
  while (!(await wanted())) await new Promise(requestAnimationFrame);
}"""


class Line:
    """The page's connection to the server; it takes effect with the next load of the page."""

    def __init__(self, page: Page) -> None:
        self._page = page
        page.add_init_script(LINES)

    def lose(self, *, forgotten: bool = False) -> None:
        """Cut the connection; if `forgotten`, the next server does not know the page's State."""
        self._page.context.set_offline(True)
        self._page.evaluate(
            "forgotten => { window.forgotten = forgotten; lines.forEach(line => line.close()) }",
            forgotten,
        )
        expect(self._page.get_by_test_id("offline")).to_be_visible()

    def mend(self) -> None:
        self._page.context.set_offline(False)
        expect(self._page.get_by_test_id("offline")).to_have_count(0)


@pytest.fixture
def line(chat: ChatPage) -> Line:
    line = Line(chat.page)
    chat.page.reload()
    return line


@pytest.fixture
def held(chat: ChatPage) -> Held:
    held = Held(chat.page)
    chat.page.reload()
    return held


def ask(chat: ChatPage, prompt: str, *, ends: bool = True) -> str:
    """Ask in a new chat and return its id."""
    chat.page.get_by_test_id("new-chat").click()
    expect(chat.page.get_by_test_id("greeting")).to_be_visible()
    chat.send(prompt)
    if ends:
        chat.has_status("done")
    else:
        chat.reads("So far.")
    return chat.chat_id


def go_to(chat: ChatPage, chat_id: str = "") -> None:
    """Go to a chat or to the empty page, and wait for it: the address changes before the page."""
    link = f"[data-chat='{chat_id}']" if chat_id else "[data-testid=new-chat]"
    chat.page.locator(link).click()
    expect(chat.page.locator(f"{link}[aria-current=page]")).to_be_visible()


def chats_with(chat: ChatPage, text: str) -> list[str]:
    """Return the ids of the chats that contain `text`."""
    query = "SELECT chat.id FROM chat JOIN message ON chat.key = chat_key WHERE instr(parts, ?)"
    with closing(sqlite3.connect(chat.database)) as connection:
        return [row[0] for row in connection.execute(query, [text])]


def edit(chat: ChatPage, text: str) -> None:
    chat.page.get_by_test_id("edit").first.focus()
    chat.page.keyboard.press("Enter")
    chat.page.get_by_test_id("edit-box").fill(text)


@pytest.mark.parametrize("to", ["another chat", "a new chat"])
def test_a_prompt_goes_to_the_chat_it_was_written_in_although_another_was_open(
    chat: ChatPage, line: Line, to: str
) -> None:
    there = ask(chat, "There")
    here = ask(chat, "Here")
    chat.page.evaluate("window.uplink = []")
    chat.page.wait_for_function("window.uplink.length > 0")  # the chat list's request comes first
    go_to(chat, there if to == "another chat" else "")
    chat.prompt.fill(f"Meant for {to}")
    chat.page.evaluate("() => { window.sent = window.uplink.length }")
    expect(chat.page.get_by_test_id("send")).to_be_enabled()
    chat.prompt.press("Enter")
    chat.page.wait_for_function("window.uplink.length > window.sent")
    chat.page.evaluate(
        "() => { const all = uplink; window.uplink = null; all.forEach(say => say()) }"
    )

    expect(chat.page.get_by_test_id("prompt-message").last).to_have_text(f"Meant for {to}")
    expect(chat.page).to_have_url(CHAT_URL)
    [chat_id] = chats_with(chat, f"Meant for {to}")
    assert chat_id == chat.chat_id
    assert chat_id != here


@pytest.mark.parametrize(
    "forgotten", [False, True], ids=["same server", "server without its State"]
)
@pytest.mark.parametrize("to", ["another chat", "a new chat"])
def test_a_prompt_sent_without_a_connection_is_asked_in_its_chat(
    chat: ChatPage, line: Line, to: str, forgotten: bool
) -> None:
    there = ask(chat, "There")
    here = ask(chat, "Here")
    line.lose(forgotten=forgotten)
    text = f"Then to {to} ({forgotten})"
    chat.prompt.fill(text)
    chat.prompt.press("Enter")
    expect(chat.page.get_by_test_id("sent-prompt")).to_be_visible()
    go_to(chat, there if to == "another chat" else "")

    line.mend()

    answering = chat.page.locator(f"[data-chat='{here}']").get_by_test_id("unread")
    expect(answering).to_be_visible()
    assert chats_with(chat, text) == [here]
    if to == "another chat":
        expect(chat.page.get_by_test_id("prompt-message")).to_have_text("There")
    else:
        expect(chat.page.get_by_test_id("greeting")).to_be_visible()
    expect(chat.prompt).to_have_value("")
    chat.send(f"Asked there: {text}")
    go_to(chat, here)
    expect(chat.page.get_by_test_id("prompt-message").last).to_have_text(text)
    expect(chat.prompt).to_have_value("")


def test_stop_stops_the_answer_that_is_seen(
    chat: ChatPage, held: Held, model: OpenAIServer
) -> None:
    model.script(HELD, HELD)
    there = ask(chat, "There", ends=False)
    here = ask(chat, "Here", ends=False)
    held.begin()
    go_to(chat, there)
    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("Here")

    chat.page.get_by_test_id("stop").click()
    chat.page.evaluate("deliverHeld()")

    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("There")
    expect(chat.page.locator(f"[data-chat='{here}']").get_by_test_id("answering")).to_have_count(0)
    chat.has_status("streaming")
    expect(chat.page.get_by_test_id("stop")).to_be_enabled()


def test_escape_stops_the_answer_that_is_seen(chat: ChatPage, model: OpenAIServer) -> None:
    model.script(HELD, HELD)
    there = ask(chat, "There", ends=False)
    here = ask(chat, "Here", ends=False)
    go_to(chat, there)
    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("There")

    chat.page.keyboard.press("Escape")

    chat.has_status("stopped")
    go_to(chat, here)
    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("Here")
    chat.has_status("streaming")


def test_a_stop_that_was_lost_can_be_repeated(
    chat: ChatPage, line: Line, model: OpenAIServer
) -> None:
    chat.page.clock.install()
    chat.page.reload()
    model.script(HELD)
    ask(chat, "Here", ends=False)
    stop = chat.page.get_by_test_id("stop")
    chat.page.evaluate("window.deaf = true")
    stop.click()
    expect(stop).to_be_disabled()
    chat.page.evaluate("() => { window.deaf = false; lines.forEach(line => line.close()) }")

    chat.page.clock.fast_forward(NO_REPLY)
    expect(stop).to_be_enabled()
    stop.click()

    chat.has_status("stopped")


def test_two_tabs_of_a_first_visit_are_one_visitor(context: BrowserContext, chat: ChatPage) -> None:
    context.clear_cookies()
    answers: list[Route] = []
    slow = context.new_page()
    slow.route("**/api/session", lambda route: answers.append(route), times=1)
    with slow.expect_request("**/api/session"):
        slow.goto("/")
    quick = ChatPage(context.new_page(), database=chat.database)
    quick.page.goto("/")
    quick.page.evaluate(LOCK_IS_WANTED)

    answers[0].continue_()

    expect(slow.get_by_test_id("prompt")).to_be_enabled()
    expect(quick.prompt).to_be_enabled()
    quick.send("Mine")
    quick.has_status("done")
    expect(slow.get_by_test_id("chat-link")).to_have_text(re.compile("Mine"))
    quick.page.reload()
    expect(quick.page.get_by_test_id("prompt-message")).to_have_text("Mine")


def test_a_draft_changed_while_the_server_was_silent_moves_to_the_new_chat(
    chat: ChatPage, held: Held
) -> None:
    chat.page.clock.install()
    chat.page.reload()
    expect(chat.prompt).to_be_enabled()
    held.begin()
    chat.prompt.fill("Where do we go")
    chat.prompt.press("Enter")
    held.wait_for("Where do we go")
    chat.page.clock.fast_forward(NO_REPLY)
    expect(chat.prompt).to_have_value("Where do we go")
    chat.prompt.fill("Where do we go now?")

    chat.page.evaluate("deliverHeld()")

    chat.page.wait_for_url(CHAT_URL)
    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("Where do we go")
    expect(chat.prompt).to_have_value("Where do we go now?")
    chat.has_status("done")
    chat.send("Where do we go now?")
    assert chats_with(chat, "Where do we go now?") == [chat.chat_id]


def test_no_prompt_can_be_sent_in_a_chat_that_does_not_exist(chat: ChatPage) -> None:
    chat.page.goto("/chat/0123456789abcdef")
    expect(chat.page.get_by_test_id("not-found")).to_be_visible()

    expect(chat.prompt).not_to_be_editable()
    expect(chat.page.get_by_test_id("send")).to_have_attribute(
        "title", re.compile("Start a new one")
    )
    chat.page.get_by_role("link", name="Start a new chat").click()
    chat.send("Here, then")


@pytest.mark.parametrize(
    ("here", "script", "there"),
    [
        pytest.param("/chat/{}", r"/assets/_index-.*\.js$", "/", id="from a chat"),
        pytest.param("/", r"/assets/_chat_.*\.js$", "/chat/{}", id="from the empty page"),
    ],
)
def test_the_code_of_the_other_page_is_prefetched(
    chat: ChatPage, another_tab: Callable[[], ChatPage], here: str, script: str, there: str
) -> None:
    chat_id = ask(chat, "Here")
    tab = another_tab()
    with tab.page.expect_response(re.compile(script)) as response:
        tab.open(here.format(chat_id))
    response.value.finished()
    expect(tab.page.locator(f"[href='{there.format(chat_id)}']").first).to_be_visible()
    tab.page.context.set_offline(True)

    tab.page.locator(f"[href='{there.format(chat_id)}']").first.click()

    expect(tab.page).to_have_url(re.compile(there.format(chat_id) + "$"))
    tab.page.context.set_offline(False)


def test_a_prompt_waiting_in_a_chat_that_is_deleted_elsewhere_is_not_sent(
    chat: ChatPage, another_tab: Callable[[], ChatPage], model: OpenAIServer
) -> None:
    model.script(HELD)
    ask(chat, "Here", ends=False)
    chat.prompt.fill("And once it is gone?")
    chat.prompt.press("Enter")
    expect(chat.page.get_by_test_id("waits")).to_be_visible()
    other = another_tab()
    Sidebar(other.page).choose("Here", "Delete")
    expect(other.page.get_by_test_id("undo")).to_be_visible()

    model.release()

    expect(chat.page.get_by_test_id("not-found")).to_be_visible()
    expect(chat.page.get_by_test_id("chat-link")).to_have_count(0)
    assert chats_with(chat, "And once it is gone?") == []


def test_a_waiting_prompt_still_waits_after_a_look_at_another_chat(
    chat: ChatPage, model: OpenAIServer
) -> None:
    there = ask(chat, "There")
    model.script(HELD)
    here = ask(chat, "Here", ends=False)
    chat.prompt.fill("And after a look?")
    chat.prompt.press("Enter")
    go_to(chat, there)
    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("There")
    expect(chat.prompt).to_have_value("")
    chat.prompt.fill("Not sent")

    chat.page.go_back()

    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("Here")
    expect(chat.page.get_by_test_id("waits")).to_be_visible()
    model.release()
    expect(chat.page.get_by_test_id("prompt-message").last).to_have_text("And after a look?")
    assert chats_with(chat, "And after a look?") == [here]


def test_a_late_message_about_another_chat_does_not_send_a_waiting_prompt(
    chat: ChatPage, held: Held, model: OpenAIServer
) -> None:
    there = ask(chat, "There")
    model.script(HELD)
    here = ask(chat, "Here", ends=False)
    chat.prompt.fill("And then?")
    chat.prompt.press("Enter")
    expect(chat.page.get_by_test_id("waits")).to_be_visible()
    held.begin()
    go_to(chat, there)
    held.wait_for("shown_chat_id")
    chat.page.evaluate("() => { window.ofThere = window.held; window.held = [] }")
    chat.page.go_back()
    expect(chat.page).to_have_url(re.compile(here))
    held.wait_for("shown_chat_id")

    chat.page.evaluate("ofThere.forEach(([hear, said]) => hear(said))")
    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("There")
    chat.page.evaluate("deliverHeld()")

    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("Here")
    expect(chat.page.get_by_test_id("waits")).to_be_visible()
    expect(chat.page.get_by_test_id("send-trouble")).to_have_count(0)
    model.release()
    expect(chat.page.get_by_test_id("prompt-message").last).to_have_text("And then?")


def test_a_waiting_prompt_and_an_edit_survive_a_server_without_their_state(
    chat: ChatPage, line: Line, model: OpenAIServer
) -> None:
    ask(chat, "Here")
    edit(chat, "Typed with care")
    model.script(HELD)
    chat.prompt.fill("Go on")
    chat.prompt.press("Enter")
    chat.reads("So far.")
    chat.prompt.fill("And then?")
    chat.prompt.press("Enter")
    expect(chat.page.get_by_test_id("waits")).to_be_visible()

    line.lose(forgotten=True)
    line.mend()

    expect(chat.page.get_by_test_id("stop")).to_be_visible()
    expect(chat.page.get_by_test_id("edit-box")).to_have_value("Typed with care")
    expect(chat.page.get_by_test_id("waits")).to_be_visible()
    model.release()
    expect(chat.page.get_by_test_id("prompt-message").last).to_have_text("And then?")


def test_an_edit_outlasts_a_refresh_whether_it_was_sent_or_not(chat: ChatPage, line: Line) -> None:
    ask(chat, "Here")
    edit(chat, "Typed with care")

    chat.page.reload()
    expect(chat.page.get_by_test_id("edit-box")).to_have_value("Typed with care")
    expect(chat.prompt).to_be_focused()

    chat.page.evaluate("window.deaf = true")
    chat.page.get_by_test_id("send-edit").click()
    chat.page.reload()
    expect(chat.page.get_by_test_id("edit-box")).to_have_value("Typed with care")

    chat.page.get_by_test_id("send-edit").click()
    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("Typed with care")
    chat.has_status("done")
    chat.page.reload()
    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("Typed with care")
    expect(chat.page.get_by_test_id("edit-box")).to_have_count(0)
    chat.page.get_by_role("button", name="Previous version").first.click()
    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("Here")


def test_an_edit_that_is_given_up_is_forgotten(chat: ChatPage) -> None:
    ask(chat, "Here")
    edit(chat, "Typed in vain")
    chat.page.keyboard.press("Escape")

    chat.page.reload()

    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("Here")
    expect(chat.page.get_by_test_id("edit-box")).to_have_count(0)


def test_each_tab_keeps_its_own_draft(chat: ChatPage, another_tab: Callable[[], ChatPage]) -> None:
    other = another_tab()
    chat.prompt.fill("A long text in the first tab")
    other.prompt.fill("Another in the second")
    other.prompt.fill("")

    chat.page.reload()

    expect(chat.prompt).to_have_value("A long text in the first tab")


def test_the_way_back_leads_past_a_deleted_chat(chat: ChatPage, sidebar: Sidebar) -> None:
    kept = ask(chat, "Kept")
    gone = ask(chat, "Gone for good")
    sidebar.choose("Gone", "Delete")
    expect(chat.page.get_by_test_id("greeting")).to_be_visible()

    chat.page.go_back()  # to the empty page on which the chat began
    chat.page.go_back()

    expect(chat.page).to_have_url(re.compile(kept))
    expect(chat.page.get_by_test_id("prompt-message")).to_have_text("Kept")
    assert chats_with(chat, "Gone for good") == [gone]


def test_escape_stops_the_answer_while_a_deleted_chat_can_be_taken_back(
    chat: ChatPage, sidebar: Sidebar, model: OpenAIServer
) -> None:
    ask(chat, "Gone")
    model.script(HELD)
    ask(chat, "Here", ends=False)
    sidebar.choose("Gone", "Delete")
    expect(chat.page.get_by_test_id("undo")).to_be_visible()

    chat.prompt.focus()
    chat.page.keyboard.press("Escape")

    chat.has_status("stopped")
