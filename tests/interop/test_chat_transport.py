"""The AI SDK's `DefaultChatTransport` and `Chat`, configured with nothing but the address.

Outside a browser the session cookie must also be passed, as a header.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.interop.conftest import Visit
from tests.support.app_server import AppServer
from tests.support.caller import Caller
from tests.support.openai_server import (
    ROLE,
    Cue,
    OpenAIServer,
    Reply,
    answer,
    chunk,
    ending,
    reasoning,
    texts,
)

FIRST, LAST = "Some *words* first ☃", ", then the end."
Servers = tuple[AppServer, AppServer]


def held() -> Reply:
    """Return an answer that pauses in its middle until the test releases it."""
    return Reply(body=(ROLE, *texts("Some *words* ", "first ☃"), Cue.HOLD, *texts(LAST), *ending()))


def stored(server: AppServer, chat: str) -> list[tuple[str, str]]:
    """Return id and text of each reply of the chat in the database."""
    query = (
        "SELECT message.id, (SELECT group_concat(json_extract(value, '$.text'), '') FROM"
        " json_each(parts) WHERE json_extract(value, '$.type') = 'text') FROM message"
        " JOIN chat ON chat.key = message.chat_key"
        " WHERE chat.id = ? AND role = 'assistant' ORDER BY position"
    )
    with closing(sqlite3.connect(Path(server.folder) / "chat.db")) as connection:
        return connection.execute(query, [chat]).fetchall()


def test_a_prompt_is_answered_whole(
    servers: Servers, visit: Visit, chat: str, model: OpenAIServer
) -> None:
    model.script(answer("Hello ", "there."))
    page = visit(servers[0])

    page.send("Hello?")
    page.has_status("ready")

    assert page.texts == ["Hello?", "Hello there."]
    assert stored(servers[0], chat) == [(page.messages[-1]["id"], "Hello there.")]
    assert page.chunks[:3] == ["start", "start-step", "text-start"]
    assert page.chunks[-2:] == ["finish-step", "finish"]
    assert not [kind for kind in page.chunks if kind.startswith("invalid")]


def test_an_answer_left_in_its_middle_goes_on_elsewhere_as_the_same_message(
    servers: Servers, visit: Visit, chat: str, model: OpenAIServer
) -> None:
    here, elsewhere = servers
    model.script(held())
    page = visit(here)
    page.send("Go on")
    page.reads(FIRST)
    begun = page.messages
    page.leave()

    later = visit(elsewhere, messages=begun[:1])
    later.resume()
    later.reads(FIRST)
    model.release()
    later.has_status("ready")

    assert later.texts == ["Go on", FIRST + LAST]
    assert [message["id"] for message in later.messages] == [message["id"] for message in begun]
    assert stored(here, chat) == [(begun[-1]["id"], FIRST + LAST)]


def test_a_page_that_has_half_of_the_answer_resumes_without_doubling_it(
    servers: Servers, visit: Visit, model: OpenAIServer
) -> None:
    here, elsewhere = servers
    model.script(held())
    page = visit(here)
    page.send("Go on")
    page.reads(FIRST)
    begun = page.messages
    page.leave()

    later = visit(elsewhere, messages=begun)
    later.resume()
    model.release()
    later.has_status("ready")
    later.reads(FIRST + LAST)

    assert later.texts == ["Go on", FIRST + LAST]


def test_with_nothing_open_there_is_nothing_to_reconnect_to(
    servers: Servers, visit: Visit, model: OpenAIServer
) -> None:
    here, elsewhere = servers
    model.script(answer("Done."))
    page = visit(here)
    page.send("Hello?")
    page.has_status("ready")

    assert page.reconnects() is False
    assert visit(elsewhere).reconnects() is False


def test_two_chats_at_once_do_not_mix(
    servers: Servers, visit: Visit, chat: str, model: OpenAIServer
) -> None:
    here, elsewhere = servers
    model.script(held())
    one = visit(here)
    one.send("One")
    one.reads(FIRST)
    model.script(answer("Quite ", "another."))
    other = visit(elsewhere, chat=f"{chat}-other")
    other.send("Other")
    other.has_status("ready")
    again = visit(elsewhere, messages=one.messages[:1])
    again.resume()
    again.reads(FIRST)
    model.release()
    one.has_status("ready")
    again.has_status("ready")

    assert one.texts == again.texts == ["One", FIRST + LAST]
    assert other.texts == ["Other", "Quite another."]


def test_a_failure_ends_as_an_error_with_its_text(
    servers: Servers, visit: Visit, model: OpenAIServer
) -> None:
    model.script(Reply(body=(ROLE, *texts(FIRST), Cue.HOLD, Cue.CLOSE)))
    page = visit(servers[0])
    page.send("Fail")
    page.reads(FIRST)
    later = visit(servers[1], messages=page.messages[:1])
    later.resume()
    later.reads(FIRST)
    model.release()

    for each in (page, later):
        each.has_status("error")
        assert each.error
        assert each.texts == ["Fail", FIRST]
        assert "error" in each.chunks


def test_a_regenerated_reply_takes_the_place_of_the_old_one(
    servers: Servers, visit: Visit, chat: str, model: OpenAIServer
) -> None:
    here, elsewhere = servers
    model.script(answer("Not so good."), held())
    page = visit(here)
    page.send("Try")
    page.has_status("ready")
    old = page.messages[-1]["id"]

    page.regenerate()
    page.reads(FIRST)
    later = visit(elsewhere, messages=page.messages[:1])
    later.resume()
    later.reads(FIRST)
    model.release()

    for each in (page, later):
        each.has_status("ready")
        assert each.texts == ["Try", FIRST + LAST]
    new = page.messages[-1]["id"]
    assert later.messages[-1]["id"] == new != old
    assert stored(here, chat) == [(old, "Not so good."), (new, FIRST + LAST)]
    asked = model.requests[-1].messages
    assert [message["role"] for message in asked if message["role"] != "system"] == ["user"]


def test_an_edited_prompt_is_answered_without_the_old_one(
    servers: Servers, visit: Visit, chat: str, model: OpenAIServer
) -> None:
    here, elsewhere = servers
    model.script(answer("To the old one."), answer("To the new one."), answer("And on."))
    page = visit(here)
    page.send("Old")
    page.has_status("ready")

    page.edit(page.messages[0]["id"], "New")
    page.reads("To the new one.")
    page.has_status("ready")
    then = visit(elsewhere, messages=page.messages)
    then.send("And then?")
    then.reads("And on.")
    then.has_status("ready")

    assert then.texts == ["New", "To the new one.", "And then?", "And on."]
    said = [message["content"] for message in model.requests[-1].messages]
    assert said[-3:] == ["New", "To the new one.", "And then?"]
    assert "Old" not in said
    assert [text for _, text in stored(here, chat)] == [
        "To the old one.",
        "To the new one.",
        "And on.",
    ]


def test_a_stopped_reply_goes_on_as_the_same_message(
    servers: Servers, visit: Visit, chat: str, model: OpenAIServer, caller: Caller
) -> None:
    here, elsewhere = servers
    model.script(held())
    page = visit(here)
    page.send("Go on")
    page.reads(FIRST)
    caller.stop(elsewhere, chat)
    page.has_status("ready")
    reply = page.messages[-1]["id"]

    model.script(Reply(body=(ROLE, *texts(", then "), Cue.HOLD, *texts("more."), *ending())))
    page.continue_reply()
    page.reads(f"{FIRST}, then ")
    later = visit(elsewhere, messages=page.messages[:1])
    later.resume()
    later.reads(f"{FIRST}, then ")
    model.release()

    for each in (page, later):
        each.has_status("ready")
        assert each.texts == ["Go on", f"{FIRST}, then more."]
        assert each.messages[-1]["id"] == reply
    assert stored(here, chat) == [(reply, f"{FIRST}, then more.")]


def test_continuing_a_complete_reply_is_an_error_that_says_why(
    servers: Servers, visit: Visit, model: OpenAIServer
) -> None:
    model.script(answer("Done."))
    page = visit(servers[0])
    page.send("Hello?")
    page.has_status("ready")

    page.continue_reply()
    page.has_status("error")

    assert "invalid_request" in (page.error or "")
    assert page.texts == ["Hello?", "Done."]


def test_a_refused_prompt_is_an_error_with_the_servers_words(
    servers: Servers, visit: Visit, model: OpenAIServer
) -> None:
    model.script(held())
    page = visit(servers[0])
    page.send("One")
    page.reads(FIRST)

    second = visit(servers[1])
    second.send("Two at once")
    second.has_status("error")
    model.release()
    page.has_status("ready")

    assert "turn_in_progress" in (second.error or "")


def test_a_stop_ends_the_answer_for_every_page_and_keeps_the_text_so_far(
    servers: Servers, visit: Visit, chat: str, model: OpenAIServer, caller: Caller
) -> None:
    here, elsewhere = servers
    model.script(held())
    page = visit(here)
    page.send("Stop this")
    page.reads(FIRST)

    assert caller.stop(elsewhere, chat).status_code == 202
    page.has_status("ready")

    assert page.texts == ["Stop this", FIRST]
    assert page.messages[-1]["parts"][-1]["state"] == "done"
    assert stored(here, chat) == [(page.messages[-1]["id"], FIRST)]
    assert caller.stop(here, chat).status_code == 204


def test_whatever_a_model_says_the_client_can_read_it(
    servers: Servers, visit: Visit, model: OpenAIServer
) -> None:
    odd = Reply(
        body=(
            ROLE,
            *reasoning("Hm", "…"),
            chunk({"content": None, "refusal": None, "audio": {"id": "a"}, "x": [1]}),
            chunk({"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f"}}]}),
            *texts("", "a\0b", "\ud83d", "\u2028", "data: [DONE]\n\n", "</script>"),
            *ending(reason="quite_unknown"),
        )
    )
    model.script(odd)
    page = visit(servers[0])
    page.send("Be odd")
    page.has_status("ready")

    assert not [kind for kind in page.chunks if kind.startswith("invalid")]
    assert page.chunks[-1] == "finish"
    assert page.texts[-1].endswith("\u2028data: [DONE]\n\n</script>")
    again = visit(servers[1])
    assert again.reconnects() is False
