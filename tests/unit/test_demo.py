"""What the demo model says, when it says it, and how it continues."""

import asyncio
import os
import subprocess
import sys
from contextlib import aclosing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat_app.generation.demo import DemoLLM
from chat_app.generation.llm import Finish, Prompt, PromptMessage
from tests.support.stepped_demo import (
    SteppedClock,
    answer,
    collect,
    deltas,
    demo,
    prompt,
    seen_at,
    text_of,
)

pytestmark = pytest.mark.anyio

MESSAGES = ("Hello", "Was ist das?", "/demo tokens=700", "/demo words=1 tokens=120", "/demo oops=1")


# The answer


async def test_the_same_prompt_gets_the_same_answer() -> None:
    first, second = await collect(prompt("Hello")), await collect(prompt("Hello"))

    assert first == second


async def test_different_prompts_get_different_answers() -> None:
    answers = {text_of(await collect(prompt(f"Question {number}"))) for number in range(30)}

    assert len(answers) > 25


def test_the_answer_is_the_same_in_every_process() -> None:
    code = (
        "import asyncio, hashlib\n"
        "from tests.support.stepped_demo import answer\n"
        "print(hashlib.sha256(answer('Hello').encode()).hexdigest())"
    )

    answers = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            check=True,
            capture_output=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(answers) == 1


@pytest.mark.parametrize("number", range(12))
async def test_an_answer_is_varied_markdown_of_a_pleasant_length(number: int) -> None:
    items = await collect(prompt(f"Question {number}"))

    text = text_of(items)
    marks = ["\n## ", "\n- ", "\n|", "\n```", "**", "\n> ", "](https://"]
    assert [mark for mark in marks if mark not in text] == []
    assert any(ord(character) > 0xFFFF for character in text)
    assert 150 <= len(deltas(items)) <= 450


async def test_no_delta_is_empty_and_the_finish_comes_last_with_its_usage() -> None:
    items = await collect(prompt("Hello you"))

    assert all(deltas(items))
    finish = items[-1]
    assert isinstance(finish, Finish)
    assert finish.usage is not None
    assert finish.usage.prompt_tokens == 2
    assert finish.usage.completion_tokens == len(items) - 1


async def test_a_prompt_without_messages_gets_an_answer_too() -> None:
    items = await collect(Prompt(messages=()))

    assert len(items) > 100


async def test_only_the_last_message_chooses_the_answer() -> None:
    chat = (
        PromptMessage(role="user", text="/demo fail=1"),
        PromptMessage(role="assistant", text="…"),
        PromptMessage(role="user", text="Hello"),
    )

    items = await collect(Prompt(messages=chat))

    assert text_of(items) == text_of(await collect(prompt("Hello")))


# Continuing from a prefix


@settings(max_examples=60, deadline=None)
@given(
    message=st.sampled_from(MESSAGES) | st.text(),
    place=st.floats(min_value=0, max_value=1),
)
def test_from_any_cut_the_rest_follows_exactly(message: str, place: float) -> None:
    whole = answer(message)
    cut = round(place * len(whole))

    assert whole[:cut] + answer(message, prefix=whole[:cut]) == whole


@pytest.mark.parametrize("message", ["Hello", "/demo words=1 tokens=30"])
def test_from_every_cut_of_the_beginning_the_rest_follows_exactly(message: str) -> None:
    whole = answer(message)

    for cut in range(60):
        assert whole[:cut] + answer(message, prefix=whole[:cut]) == whole


async def test_a_whole_answer_as_prefix_finishes_at_once() -> None:
    whole = text_of(await collect(prompt("Hello")))

    assert deltas(await collect(prompt("Hello", prefix=whole))) == []


@pytest.mark.parametrize("message", ["Hello", "/demo words=1 tokens=30"])
async def test_a_prefix_longer_than_the_answer_finishes_at_once(message: str) -> None:
    items = await collect(prompt(message, prefix="and on " * 2000))

    assert len(items) == 1
    assert isinstance(items[0], Finish)


async def test_only_the_length_of_a_foreign_prefix_counts() -> None:
    whole = text_of(await collect(prompt("Hello")))

    rest = text_of(await collect(prompt("Hello", prefix="x" * 100)))

    assert rest == whole[100:]


# Pace


async def test_the_usual_pace_is_forty_deltas_a_second() -> None:
    times = await seen_at(prompt("Hello"), SteppedClock())

    assert times[80] == pytest.approx(2.0)


async def test_late_deltas_are_caught_up_with_and_delay_no_other() -> None:
    times = await seen_at(prompt("/demo tokens=1001 rate=100 words=1"), SteppedClock(late=0.05))

    assert times[-1] == pytest.approx(10.0, abs=0.06)


async def test_an_overdue_delta_is_sent_without_a_wait() -> None:
    clock = SteppedClock()

    async with aclosing(demo(clock).stream(prompt("/demo tokens=60 rate=10 words=1"))) as stream:
        await anext(stream)
        clock.now += 3.0
        for _ in range(30):
            await anext(stream)

    assert clock.waits == []


@pytest.mark.parametrize("rate", [0, 100_000])
async def test_the_event_loop_gets_its_turn_at_any_rate(rate: int) -> None:
    loop = asyncio.get_running_loop()
    turns = 0

    def count_turns() -> None:
        nonlocal turns, handle
        turns += 1
        handle = loop.call_soon(count_turns)

    handle = loop.call_soon(count_turns)
    async for _ in DemoLLM().stream(prompt(f"/demo tokens=6400 rate={rate}")):
        pass
    handle.cancel()

    assert turns >= 90


async def test_an_answer_can_be_closed_in_the_middle() -> None:
    stream = demo().stream(prompt("Hello"))

    await anext(stream)
    await stream.aclose()

    assert [item async for item in stream] == []
