"""The parts of a server process, without the process: log, producer, queue and turns."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import anyio

from chat_app.chats.database import Database
from chat_app.chats.models import Chat, ChatId, MessageId
from chat_app.chats.repository import ChatRepository
from chat_app.chats.streams import StreamRepository
from chat_app.generation.llm import LLM
from chat_app.generation.producer import Producer
from chat_app.generation.task import Generations, open_generations
from chat_app.identity.identity import Identity
from chat_app.replies import Replies
from chat_app.streams import frame
from chat_app.streams.log import LogOptions, StreamLog, open_log
from chat_app.streams.model import StreamId
from chat_app.turns import Turns
from tests.support.reading import everything

CHAT = ChatId("holiday")
QUESTION = "Where to?"
TOO_LONG = 10
NEVER = timedelta(hours=1)

_OPTIONS = LogOptions(timeout=timedelta(seconds=2))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerProcess:
    """The parts of one server process.

    Attributes:
        url: The store of its log and its queue.
    """

    url: str
    database: Database
    log: StreamLog
    producer: Producer

    @property
    def chats(self) -> ChatRepository:
        """The repository of chats."""
        return ChatRepository(self.database)

    async def ask(self, identity: Identity, text: str = QUESTION) -> StreamId:
        """Accept a prompt without answering it yet."""
        begun = await self.chats.begin_turn(
            identity, chat_id=CHAT, message_id=MessageId(uuid4().hex), text=text, model="scripted"
        )
        await self.log.create(begun.stream.id)
        return begun.stream.id

    async def chat(self, identity: Identity) -> Chat:
        """Read the chat from the database."""
        return await self.chats.read_chat(identity, CHAT)

    async def watch(self, stream_id: StreamId, *, text: str) -> bytes:
        """Read the stream from its first event until it holds `text`."""
        data = b""
        with anyio.fail_after(TOO_LONG):
            async for batch in await self.log.follow(stream_id):
                data += batch.data
                if text in text_of(data):
                    return data
        raise AssertionError(f"the stream ended with {text_of(data)!r}")

    async def everything(self, stream_id: StreamId) -> bytes:
        """Read the stream from its first event to its end."""
        with anyio.fail_after(TOO_LONG):
            return await everything(self.log, stream_id)

    @asynccontextmanager
    async def working(
        self,
        *,
        name: str = "generations",
        redelivery_timeout: timedelta = timedelta(seconds=1),
    ) -> AsyncGenerator[Generations]:
        """Open the task queue, with this process working on it."""
        async with open_generations(
            self.url,
            self.producer,
            name=name,
            concurrency=10,
            redelivery_timeout=redelivery_timeout,
            patience=timedelta(seconds=1),
        ) as generations:
            yield generations

    def turns(self, generations: Generations, *, chats: ChatRepository | None = None) -> Turns:
        """Return the `Turns` that the page and the API call."""
        return Turns(
            chats=chats or self.chats,
            log=self.log,
            generations=generations,
            models=["scripted"],
            max_prompt_chars=1000,
        )


@asynccontextmanager
async def server_process(
    url: str,
    database: Database,
    model: LLM,
    *,
    streams: StreamRepository | None = None,
    checkpoint_interval: timedelta = NEVER,
    max_takeovers: int = 10,
    continues: bool = True,
    options: LogOptions = _OPTIONS,
) -> AsyncGenerator[ServerProcess]:
    """Open the parts of a process that answers with `model`."""
    async with open_log(url, options) as log:
        producer = Producer(
            log,
            Replies(streams or StreamRepository(database)),
            models=lambda _name: model,
            checkpoint_interval=checkpoint_interval,
            max_takeovers=max_takeovers,
            continues=continues,
            log_survives=not url.startswith("memory://"),
        )
        yield ServerProcess(url=url, database=database, log=log, producer=producer)


def events(data: bytes) -> list[dict[str, Any]]:
    """Return the events in some frames."""
    return [frame.decode(piece)[1] for piece in frame.split(data)]


def timeless(meta: dict[str, Any]) -> dict[str, Any]:
    """Return a reply's metadata without the times."""
    times = ("started_at", "first_delta_ms", "reasoning_ms", "duration_ms")
    return {name: value for name, value in meta.items() if name not in times}


def text_of(data: bytes) -> str:
    """Return the text of the answer in some frames, without the reasoning."""
    return "".join(event["delta"] for event in events(data) if event["type"] == "text-delta")
