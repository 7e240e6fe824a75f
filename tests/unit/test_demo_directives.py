"""`/demo …`, on a clock that advances only when the model waits."""

import pytest

from chat_app.generation.llm import Delta, Finish
from tests.support.stepped_demo import (
    SteppedClock,
    collect,
    deltas,
    demo,
    prompt,
    seen_at,
    text_of,
    until_failure,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("count", [1, 400, 5000])
async def test_tokens_is_the_number_of_deltas(count: int) -> None:
    items = await collect(prompt(f"/demo tokens={count} rate=0"))

    assert len(deltas(items)) == count


async def test_a_long_answer_is_more_than_one_text_repeated() -> None:
    items = await collect(prompt("/demo tokens=1200"))

    assert text_of(items).count("\n## ") >= 4


async def test_a_seed_chooses_the_same_text_for_different_messages() -> None:
    slow, fast = "/demo seed=5 rate=20", "/demo seed=5 rate=0"

    assert text_of(await collect(prompt(slow))) == text_of(await collect(prompt(fast)))


async def test_seeds_choose_different_texts() -> None:
    texts = {text_of(await collect(prompt(f"/demo seed={seed}"))) for seed in range(10)}

    assert len(texts) > 7


async def test_words_are_numbered_from_one() -> None:
    items = await collect(prompt("/demo tokens=3 words=1"))

    assert deltas(items) == ["w1 ", "w2 ", "w3 "]


async def test_a_stamp_says_when_the_delta_was_due_even_if_it_was_late() -> None:
    clock = SteppedClock(late=0.004)

    items = await collect(prompt("/demo tokens=3 rate=10 stamp=1"), clock)

    assert deltas(items) == ["1@1000000000 ", "2@1000100000 ", "3@1000200000 "]


async def test_an_unthrottled_stamp_says_when_the_delta_was_made() -> None:
    clock = SteppedClock()
    stamps: list[str] = []

    async for item in demo(clock).stream(prompt("/demo tokens=2 rate=0 stamp=1")):
        stamps.append(item.text if isinstance(item, Delta) else "end")
        clock.now += 1

    assert stamps == ["1@1000000000 ", "2@1001000000 ", "end"]


async def test_stamps_go_on_after_a_prefix_with_a_schedule_of_their_own() -> None:
    asked = prompt("/demo tokens=4 rate=10 stamp=1", prefix="1@5 2@6 ")

    assert deltas(await collect(asked)) == ["3@1000000000 ", "4@1000100000 "]


async def test_a_stamp_cut_in_the_middle_is_completed() -> None:
    asked = prompt("/demo tokens=2 rate=10 stamp=1", prefix="1@99 2@10")

    assert deltas(await collect(asked)) == ["00000000 "]


async def test_nothing_empty_follows_a_stamp_that_was_longer() -> None:
    asked = prompt("/demo tokens=2 rate=10 stamp=1", prefix="1@99 2@" + "9" * 20)

    assert deltas(await collect(asked)) == []


async def test_a_pause_is_silence_after_its_delta() -> None:
    times = await seen_at(prompt("/demo tokens=6 rate=10 pause=5@3 words=1"), SteppedClock())

    assert times == pytest.approx([0.0, 0.1, 0.2, 5.3, 5.4, 5.5])


async def test_a_pause_within_the_prefix_does_not_come_again() -> None:
    asked = prompt("/demo tokens=6 rate=10 pause=5@3 words=1", prefix="w1 w2 w3 ")

    assert await seen_at(asked, SteppedClock()) == pytest.approx([0.0, 0.1, 0.2])


async def test_an_unthrottled_answer_pauses_too() -> None:
    times = await seen_at(prompt("/demo tokens=4 rate=0 pause=5@2 words=1"), SteppedClock())

    assert times == pytest.approx([0.0, 0.0, 5.0, 5.0])


async def test_a_failure_comes_after_its_delta() -> None:
    items = await until_failure(prompt("/demo tokens=9 fail=2 words=1"))

    assert deltas(items) == ["w1 ", "w2 "]
    assert len(items) == 2


async def test_continuing_after_a_failure_does_not_fail_again() -> None:
    items = await collect(prompt("/demo tokens=4 fail=2 words=1", prefix="w1 w2 "))

    assert deltas(items) == ["w3 ", "w4 "]
    assert isinstance(items[-1], Finish)


async def test_continuing_from_before_a_failure_still_fails() -> None:
    items = await until_failure(prompt("/demo tokens=4 fail=2 words=1", prefix="w1 w"))

    assert items == [Delta(text="2 ", repeats=1)]  # the prefix has the beginning already


@pytest.mark.parametrize(
    "argument",
    [
        "speed=9",
        "tokens",
        "tokens=",
        "tokens=0",
        "tokens=-1",
        "tokens=x",
        "tokens=1000001",
        "rate=-1",
        "rate=nan",
        "rate=inf",
        "pause=5",
        "pause=-1@3",
        "pause=5@0",
        "pause=1e9@3",
        "fail=0",
        "words=2",
        "words=yes",
        "=1",
        "`tick`",
    ],
)
async def test_a_directive_that_cannot_be_understood_is_answered_with_its_usage(
    argument: str,
) -> None:
    text = text_of(await collect(prompt(f"/demo tokens=5 {argument}")))

    assert argument.replace("`", "") in text.splitlines()[0]
    assert "| `pause=5@300` |" in text


async def test_words_and_stamps_exclude_each_other() -> None:
    text = text_of(await collect(prompt("/demo words=1 stamp=1")))

    assert text.startswith("Unknown directive")


async def test_help_is_the_usage_alone() -> None:
    text = text_of(await collect(prompt("/demo help")))

    assert text.startswith("## The demo model's directives")


async def test_a_message_that_only_mentions_the_command_is_no_directive() -> None:
    items = await collect(prompt("/demonstrate tokens=1"))

    assert len(deltas(items)) > 100
