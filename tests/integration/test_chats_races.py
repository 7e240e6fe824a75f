"""Two processes do the same thing, or opposite things, at the same moment, many times over."""

import asyncio

import pytest

from chat_app.chats.database import Database
from chat_app.chats.models import BegunTurn, ChatId, Claim, MessageId
from chat_app.chats.queries import text_parts
from chat_app.chats.repository import ChatRepository
from chat_app.chats.streams import StreamRepository
from chat_app.errors import Fenced, TurnInProgress
from chat_app.identity.identity import Identity
from chat_app.streams.model import StreamId

pytestmark = pytest.mark.anyio

ROUNDS = 25
TIMEOUT = 30


@pytest.fixture
def here(database: Database) -> ChatRepository:
    return ChatRepository(database)


@pytest.fixture
def there(other_process: Database) -> ChatRepository:
    return ChatRepository(other_process)


async def begin(
    chats: ChatRepository, owner: Identity, chat_id: str, message_id: str
) -> BegunTurn | TurnInProgress:
    try:
        return await chats.begin_turn(
            owner,
            chat_id=ChatId(chat_id),
            message_id=MessageId(message_id),
            text="Where to?",
            model="demo",
        )
    except TurnInProgress as refused:
        return refused


async def test_the_same_prompt_at_once_is_one_turn(
    here: ChatRepository, there: ChatRepository, alice: Identity
) -> None:
    async with asyncio.timeout(TIMEOUT):
        for number in range(ROUNDS):
            turns = await asyncio.gather(
                *(begin(chats, alice, f"chat-{number}", "prompt") for chats in (here, there) * 2)
            )

            assert all(isinstance(turn, BegunTurn) for turn in turns)
            assert len({turn.stream.id for turn in turns if isinstance(turn, BegunTurn)}) == 1
            assert sum(turn.created for turn in turns if isinstance(turn, BegunTurn)) == 1
            assert len((await here.read_chat(alice, ChatId(f"chat-{number}"))).messages) == 1


async def test_different_prompts_at_once_are_one_turn_and_refusals(
    here: ChatRepository, there: ChatRepository, alice: Identity
) -> None:
    async with asyncio.timeout(TIMEOUT):
        for number in range(ROUNDS):
            results = await asyncio.gather(
                *(
                    begin(chats, alice, f"chat-{number}", f"prompt-{index}")
                    for index, chats in enumerate((here, there) * 2)
                )
            )

            winners = [result for result in results if isinstance(result, BegunTurn)]
            refusals = [result for result in results if isinstance(result, TurnInProgress)]
            assert len(winners) == 1
            assert {refusal.stream_id for refusal in refusals} == {winners[0].stream.id}
            chat = await there.read_chat(alice, ChatId(f"chat-{number}"))
            assert [message.id for message in chat.messages] == [winners[0].stream.prompt_id]


async def test_regenerating_a_reply_twice_at_once_is_one_stream(
    here: ChatRepository, there: ChatRepository, database: Database, alice: Identity
) -> None:
    producer, chat_id = StreamRepository(database), ChatId("chat")

    async def end(stream_id: StreamId) -> None:
        claim = await producer.claim(alice, stream_id)
        await producer.finish(
            alice, stream_id, fencing_token=claim.fencing_token, outcome="stopped"
        )

    turn = await begin(here, alice, chat_id, "prompt")
    assert isinstance(turn, BegunTurn)
    newest = turn.stream.id
    async with asyncio.timeout(TIMEOUT):
        for _ in range(ROUNDS):
            await end(newest)

            begun = await asyncio.gather(
                *(chats.regenerate(alice, chat_id, model="demo") for chats in (here, there) * 2)
            )

            [newest] = {turn.stream.id for turn in begun}
            assert sorted(turn.created for turn in begun) == [False, False, False, True]


async def test_continuing_a_reply_twice_at_once_is_one_stream(
    here: ChatRepository, there: ChatRepository, database: Database, alice: Identity
) -> None:
    producer, chat_id = StreamRepository(database), ChatId("chat")
    turn = await begin(here, alice, chat_id, "prompt")
    assert isinstance(turn, BegunTurn)
    newest = turn.stream.id
    async with asyncio.timeout(TIMEOUT):
        for _ in range(ROUNDS):
            claim = await producer.claim(alice, newest)
            await producer.finish(
                alice,
                newest,
                fencing_token=claim.fencing_token,
                parts=text_parts("To the "),
                outcome="stopped",
            )

            begun = await asyncio.gather(
                *(chats.continue_reply(alice, chat_id, model="demo") for chats in (here, there) * 2)
            )

            [newest] = {turn.stream.id for turn in begun}
            assert sorted(turn.created for turn in begun) == [False, False, False, True]
    assert len((await here.read_chat(alice, chat_id)).messages) == 2


async def test_prompts_at_once_in_different_chats_do_not_hinder_each_other(
    here: ChatRepository, there: ChatRepository, alice: Identity
) -> None:
    async with asyncio.timeout(TIMEOUT):
        turns = await asyncio.gather(
            *(
                begin((here, there)[number % 2], alice, f"chat-{number}", "prompt")
                for number in range(40)
            )
        )

    assert all(isinstance(turn, BegunTurn) and turn.created for turn in turns)


async def test_claims_at_once_all_get_tokens_of_their_own(
    here: ChatRepository, database: Database, other_process: Database, alice: Identity
) -> None:
    turn = await begin(here, alice, "chat", "prompt")
    assert isinstance(turn, BegunTurn)
    producers = [StreamRepository(database), StreamRepository(other_process)] * 10

    async with asyncio.timeout(TIMEOUT):
        claims = await asyncio.gather(
            *(producer.claim(alice, turn.stream.id) for producer in producers)
        )

    assert sorted(claim.fencing_token for claim in claims) == list(range(1, 21))


async def test_only_the_newest_of_two_producers_that_finish_at_once_succeeds(
    here: ChatRepository, database: Database, other_process: Database, alice: Identity
) -> None:
    old, new = StreamRepository(database), StreamRepository(other_process)

    async def finish(producer: StreamRepository, claim: Claim, text: str) -> bool:
        try:
            await producer.finish(
                alice,
                claim.stream_id,
                fencing_token=claim.fencing_token,
                parts=text_parts(text),
                outcome="completed",
            )
        except Fenced:
            return False
        return True

    async with asyncio.timeout(TIMEOUT):
        for number in range(ROUNDS):
            turn = await begin(here, alice, f"chat-{number}", "prompt")
            assert isinstance(turn, BegunTurn)
            older = await old.claim(alice, turn.stream.id)
            newer = await new.claim(alice, turn.stream.id)

            finished = await asyncio.gather(finish(old, older, "old"), finish(new, newer, "new"))

            chat = await here.read_chat(alice, ChatId(f"chat-{number}"))
            assert finished == [False, True]
            assert [message.text for message in chat.messages] == ["Where to?", "new"]


async def test_a_reader_that_sees_the_stream_closed_sees_the_reply(
    here: ChatRepository, there: ChatRepository, database: Database, alice: Identity
) -> None:
    producer = StreamRepository(database)

    async def read_until_closed(chat_id: ChatId) -> None:
        while True:
            chat = await there.read_chat(alice, chat_id)
            assert (chat.open_stream is None) == (len(chat.messages) == 2)
            if chat.open_stream is None:
                return

    async with asyncio.timeout(TIMEOUT):
        for number in range(ROUNDS):
            turn = await begin(here, alice, f"chat-{number}", "prompt")
            assert isinstance(turn, BegunTurn)
            claim = await producer.claim(alice, turn.stream.id)
            await asyncio.gather(
                read_until_closed(turn.stream.chat_id),
                producer.finish(
                    alice,
                    turn.stream.id,
                    fencing_token=claim.fencing_token,
                    parts=text_parts("To the sea."),
                    outcome="completed",
                ),
            )
