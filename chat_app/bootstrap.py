"""Open the parts of the application from its settings: half of the composition root."""

import asyncio
import gc
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass

from chat_app.chats.chat_list import ChatList
from chat_app.chats.database import open_database
from chat_app.chats.housekeeping import Housekeeping
from chat_app.chats.limits import ChatLimits
from chat_app.chats.migrations import migrate
from chat_app.chats.repository import ChatRepository
from chat_app.chats.streams import StreamRepository
from chat_app.config import DEMO_MODEL, Settings
from chat_app.generation.demo import DemoLLM
from chat_app.generation.litellm import LiteLLMModel
from chat_app.generation.llm import LLM
from chat_app.generation.producer import Producer
from chat_app.generation.task import Generations, open_generations
from chat_app.identity.sessions import Sessions
from chat_app.rates import RateLimits, Rates, open_rates
from chat_app.replies import Replies
from chat_app.streams.log import LogOptions, StreamLog, open_log
from chat_app.sweep import Sweep
from chat_app.titles import Titles
from chat_app.turns import Turns
from chat_app.upkeep import Bin, Upkeep

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything that is opened once per process."""

    settings: Settings
    sessions: Sessions
    chats: ChatRepository
    chat_list: ChatList
    log: StreamLog
    generations: Generations
    turns: Turns
    upkeep: Upkeep
    rates: Rates


_opened: list[Services] = []  # the only one of the process, while it is open


def services() -> Services:
    """Return the opened parts, for State classes: Reflex creates them and passes nothing in."""
    if not _opened:
        msg = "the application has not started"
        raise RuntimeError(msg)
    return _opened[-1]


@contextmanager
def serving(opened: Services) -> Generator[None]:
    """Let `services` return `opened` until the end of the block."""
    _opened.append(opened)
    try:
        yield
    finally:
        _opened.remove(opened)


def tune_gc() -> None:
    """Make Python collect cyclic garbage far less often, and ignore the objects that exist now.

    Delivering events creates many short-lived objects and hardly any cycles: with its defaults the
    collector takes a tenth of a busy server's time and finds next to nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 50)


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncGenerator[Services]:
    """Open all parts in the order of their dependencies; close them in reverse.

    The application starts even if the store is down, and uses it once it is back.
    """
    _logger.warning("%s", settings.summary())
    async with AsyncExitStack() as stack:
        await migrate(settings.database_url)
        database = await stack.enter_async_context(
            open_database(settings.database_url, patience=settings.database_timeout)
        )
        log = await stack.enter_async_context(open_log(settings.redis_url, _log_options(settings)))
        models = await stack.enter_async_context(_models(settings))
        rates = await stack.enter_async_context(_rates(settings))
        chats = ChatRepository(database, limits=_chat_limits(settings))
        chat_list = ChatList(database)
        titles = Titles(chats=chats, chat_list=chat_list, models=models)
        stack.push_async_callback(titles.close)
        model_titles = settings.chat_titles == "model"
        producer = Producer(
            log,
            Replies(
                StreamRepository(database), on_first_answer=titles.ask if model_titles else None
            ),
            models=models,
            checkpoint_interval=settings.checkpoint_interval,
            max_takeovers=settings.max_takeovers,
            continues=settings.on_producer_loss == "continue",
            log_survives=not settings.embedded,
        )
        generations = await stack.enter_async_context(
            open_generations(
                settings.redis_url,
                producer,
                name=f"{settings.log_prefix}-generations",
                concurrency=settings.max_generations,
                redelivery_timeout=settings.redelivery_timeout,
                patience=settings.store_timeout,
            )
        )
        housekeeping = Housekeeping(database)
        sweep = Sweep(
            housekeeping,
            generations,
            checkpoint_interval=settings.checkpoint_interval,
        )
        await stack.enter_async_context(_sweeping(sweep, embedded=settings.embedded))
        upkeep = Upkeep(chats=chats, log=log)
        emptying = Bin(upkeep, housekeeping).run()
        await stack.enter_async_context(_running(emptying, name="bin"))
        opened = Services(
            settings=settings,
            sessions=Sessions(database.deferred, lifetime=settings.session_lifetime),
            chats=chats,
            chat_list=chat_list,
            log=log,
            generations=generations,
            turns=Turns(
                chats=chats,
                log=log,
                generations=generations,
                models=settings.models,
                max_prompt_chars=settings.max_prompt_chars,
            ),
            upkeep=upkeep,
            rates=rates,
        )
        tune_gc()
        stack.enter_context(serving(opened))
        yield opened


@asynccontextmanager
async def _sweeping(sweep: Sweep, *, embedded: bool) -> AsyncGenerator[None]:
    if embedded:
        await sweep.close_all()  # the streams of the process before this one
    async with _running(sweep.run(), name="sweep"):
        yield


@asynccontextmanager
async def _running(work: Coroutine[None, None, None], *, name: str) -> AsyncGenerator[None]:
    running = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait([running])


@asynccontextmanager
async def _models(settings: Settings) -> AsyncGenerator[Callable[[str], LLM]]:
    """Open the models; yield a lookup by name, with the default for names no longer set."""
    demo = DemoLLM()
    async with AsyncExitStack() as stack:
        known: dict[str, LLM] = {DEMO_MODEL: demo}
        for name in settings.models:
            if name != DEMO_MODEL:
                known[name] = await stack.enter_async_context(_real_model(name, settings))
        yield lambda name: known.get(name, known[settings.chat_model])


@asynccontextmanager
async def _real_model(name: str, settings: Settings) -> AsyncGenerator[LLM]:
    key = settings.model_api_key
    model = LiteLLMModel(
        name,
        system_prompt=settings.system_prompt,
        api_base=settings.model_api_base,
        api_key=key.get_secret_value() if key else None,
        request_timeout=settings.model_request_timeout,
        idle_timeout=settings.model_idle_timeout,
    )
    await model.load()
    try:
        yield model
    finally:
        await model.close()


def _log_options(settings: Settings) -> LogOptions:
    return LogOptions(
        prefix=settings.log_prefix,
        log_ttl=settings.log_ttl,
        open_ttl=settings.open_stream_ttl,
        timeout=settings.store_timeout,
    )


def _chat_limits(settings: Settings) -> ChatLimits:
    return ChatLimits(open_streams=settings.max_open_streams, messages=settings.max_chat_messages)


def _rates(settings: Settings) -> AbstractAsyncContextManager[Rates]:
    limits = RateLimits(
        prompts=settings.max_prompts_per_minute,
        requests=settings.max_requests_per_minute,
        guests=settings.max_guests_per_minute,
    )
    return open_rates(settings.redis_url, limits, prefix=settings.log_prefix)
