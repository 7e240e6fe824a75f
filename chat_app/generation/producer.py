"""Model → log: one generation from its claim to its end."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

from chat_app.errors import ChatNotFound, Fenced, GenerationError, StreamClosed
from chat_app.generation.llm import LLM, Delta, Finish, Prompt
from chat_app.generation.reply import Kind, Part, Reply, ReplyId
from chat_app.identity.identity import Identity
from chat_app.streams.log import StreamLog
from chat_app.streams.model import Outcome, StreamId
from chat_app.streams.writer import Appender

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What a producer is to do.

    Attributes:
        token: Its fencing token.
        reply_id: The id of the message it writes.
        prompt: The chat up to the prompt; its prefix is found in the log.
        outcome: Set when the reply is in the database already and only the log is still open.
    """

    token: int
    reply_id: ReplyId
    model: str
    prompt: Prompt
    outcome: Outcome | None = None


class ReplyStore(Protocol):
    """Where replies end up. An older token than the newest claim's raises `Fenced`."""

    async def claim(self, identity: Identity, stream_id: StreamId) -> Assignment:
        """Take the stream's generation over from whoever had it."""
        ...

    async def still_owner(self, identity: Identity, stream_id: StreamId, *, token: int) -> bool:
        """Whether `token` is that of the newest claim."""
        ...

    async def checkpoint(
        self, identity: Identity, stream_id: StreamId, *, token: int, text: str
    ) -> None:
        """Keep the text so far, in case both the producer and the log are lost."""
        ...

    async def finish(
        self,
        identity: Identity,
        stream_id: StreamId,
        *,
        token: int,
        parts: list[dict[str, Any]],
        outcome: Outcome,
        meta: dict[str, Any],
    ) -> None:
        """Save the reply and close the stream's row, in one transaction."""
        ...


class Producer:
    """Produces replies; one instance serves every generation of the process.

    Args:
        log: Where the events go.
        store: Where the reply goes.
        models: The model of a name.
        checkpoint_interval: Between two saves of the text so far.
        survives: Whether the log outlives this process, so that another can go on.
    """

    def __init__(
        self,
        log: StreamLog,
        store: ReplyStore,
        *,
        models: Callable[[str], LLM],
        checkpoint_interval: timedelta,
        survives: bool,
    ) -> None:
        self._log = log
        self._store = store
        self._models = models
        self._checkpoint_interval = checkpoint_interval.total_seconds()
        self._survives = survives

    async def produce(self, identity: Identity, stream_id: StreamId) -> None:
        """Write the reply of `stream_id`, or the rest of it, and close the stream.

        Cancelled without a stop, it leaves the stream open for another process to take over; or
        interrupted, if there can be no other.
        """
        try:
            assignment = await self._store.claim(identity, stream_id)
            appender = await self._log.open(
                stream_id,
                token=assignment.token,
                still_owner=partial(
                    self._store.still_owner, identity, stream_id, token=assignment.token
                ),
            )
            reply = Reply.from_frames(appender.tail.frames(after=0))
            if assignment.outcome is None:
                writing = _Writing(appender, reply, assignment)
                await self._write(identity, writing)
            else:
                await _close(appender, reply, outcome=assignment.outcome, meta={})
        except (Fenced, StreamClosed, ChatNotFound) as error:
            # Not found: the store failed when the turn was scheduled, so the turn was taken back;
            # but the store had the task by then.
            _logger.info("generation given up: %s", error)

    async def _write(self, identity: Identity, writing: "_Writing") -> None:
        async with self._checkpoints(identity, writing):
            outcome = await self._answer(writing)
        meta = writing.meta()
        await self._store.finish(
            identity,
            writing.appender.stream_id,
            token=writing.assignment.token,
            parts=writing.reply.stored(),
            outcome=outcome,
            meta=meta,
        )
        await _close(writing.appender, writing.reply, outcome=outcome, meta=meta)

    async def _answer(self, writing: "_Writing") -> Outcome:
        """Pump the model until it ends, fails or is stopped; say which."""
        model = self._models(writing.assignment.model)
        pump = asyncio.create_task(writing.pump(model), name="model")
        stop = asyncio.create_task(writing.appender.stop_requested.wait(), name="stop")
        try:
            await asyncio.wait({pump, stop}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if self._survives:
                raise
            # This process ends, and the log with it: keep what there is.
            return Outcome(kind="interrupted")
        finally:
            # Closing the model's stream ends the request to the provider.
            for task in (pump, stop):
                task.cancel()
            await asyncio.wait({pump, stop})
        return _outcome(pump)

    @asynccontextmanager
    async def _checkpoints(self, identity: Identity, writing: "_Writing") -> AsyncGenerator[None]:
        async def keep() -> None:
            while True:
                await asyncio.sleep(self._checkpoint_interval)
                try:
                    await self._store.checkpoint(
                        identity,
                        writing.appender.stream_id,
                        token=writing.assignment.token,
                        text=writing.reply.text,
                    )
                except Fenced:
                    return  # the appender hears of it too
                except Exception:  # outermost frame of its task; the next one may succeed
                    _logger.exception("checkpoint failed")

        keeping = asyncio.create_task(keep(), name="checkpoints")
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])


class _Writing:
    """One reply being written."""

    def __init__(self, appender: Appender, reply: Reply, assignment: Assignment) -> None:
        self.appender = appender
        self.reply = reply
        self.assignment = assignment
        self._finish: Finish | None = None

    async def pump(self, model: LLM) -> None:
        """Everything the model says, into the log and the reply."""
        if not self.reply.started:
            self._add({"type": "start", "messageId": self.assignment.reply_id})
            self._add({"type": "start-step"})
        prompt = replace(self.assignment.prompt, prefix=self.reply.text)
        async with aclosing(model.stream(prompt)) as deltas:
            async for delta in deltas:
                if isinstance(delta, Finish):
                    self._finish = delta
                else:
                    self._take(delta)
                    await self.appender.room()
        await self.appender.flushed()

    def _take(self, delta: Delta) -> None:
        text = _clean(delta.text)
        if not text:
            return
        part = self.reply.open_part
        if part is None or part.kind != delta.kind:
            part = self._begin(delta.kind)
        part.pieces.append(text)
        self.appender.append_text(text, part_id=part.id, kind=f"{delta.kind}-delta")

    def _begin(self, kind: Kind) -> Part:
        part = self.reply.open_part
        if part is not None:
            self._add({"type": f"{part.kind}-end", "id": part.id})
        self._add({"type": f"{kind}-start", "id": str(len(self.reply.parts) + 1)})
        return self.reply.parts[-1]

    def _add(self, event: dict[str, Any]) -> None:
        self.reply.fold(event)
        self.appender.append(event)

    def meta(self) -> dict[str, Any]:
        """What is worth knowing of how the reply was made."""
        meta: dict[str, Any] = {"model": self.assignment.model}
        if self._finish is not None:
            meta["finish_reason"] = self._finish.reason
            if self._finish.usage is not None:
                meta["prompt_tokens"] = self._finish.usage.prompt_tokens
                meta["completion_tokens"] = self._finish.usage.completion_tokens
        return meta


def _outcome(pump: asyncio.Task[None]) -> Outcome:
    """How the model's stream ended. A lost right to write is not an outcome but an error."""
    if pump.cancelled():
        return Outcome(kind="stopped")
    error = pump.exception()
    if error is None:
        return Outcome(kind="completed")
    if isinstance(error, Fenced | StreamClosed):
        raise error
    if isinstance(error, GenerationError):
        _logger.warning("the model failed: %s", error)
        return Outcome(kind="failed", code=error.code)
    _logger.error("the model failed unexpectedly", exc_info=error)
    return Outcome(kind="failed", code="internal_error")


_TEXT_OF_FAILURE = {
    "provider_throttled": "The model provider is busy. Try again in a moment.",
    "provider_unavailable": "The model provider does not answer. Try again.",
    "prompt_rejected": "The model provider does not accept this prompt. Change it and try again.",
}


async def _close(
    appender: Appender, reply: Reply, *, outcome: Outcome, meta: dict[str, Any]
) -> None:
    """Append the closing events and close: in one atomic step, after the reply is saved."""
    part = reply.open_part
    if part is not None:
        appender.append({"type": f"{part.kind}-end", "id": part.id})
    if reply.started:
        appender.append({"type": "finish-step"})
    if outcome.kind == "failed":
        text = _TEXT_OF_FAILURE.get(outcome.code or "", "Something went wrong. Try again.")
        appender.append({"type": "error", "errorText": text, "code": outcome.code})
    elif outcome.kind == "stopped":
        appender.append({"type": "abort", "reason": "stopped"})
    ending: dict[str, Any] = {"outcome": outcome.kind, **meta}
    if outcome.code:
        ending["code"] = outcome.code
    appender.append(
        {
            "type": "finish",
            "finishReason": _FINISH_REASON.get(outcome.kind, meta.get("finish_reason", "stop")),
            "messageMetadata": ending,
        }
    )
    await appender.close(outcome)


_FINISH_REASON = {"failed": "error", "interrupted": "interrupted", "stopped": "other"}


def _clean(text: str) -> str:
    """`text` without what a database or UTF-8 cannot hold: NUL and lone surrogates."""
    return text.replace("\0", "").encode(errors="replace").decode()
