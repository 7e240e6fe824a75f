"""Model → log: one generation from its claim to its end."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial

from chat_app.errors import ChatNotFound, Fenced, StreamClosed, StreamNotFound
from chat_app.generation.assignment import Assignment, ReplyStore
from chat_app.generation.llm import LLM
from chat_app.generation.reply import Reply
from chat_app.generation.retrying import retry_until_available, retry_until_saved
from chat_app.generation.writing import Writing
from chat_app.identity.identity import Identity
from chat_app.streams import frame
from chat_app.streams.log import StreamLog
from chat_app.streams.model import Outcome, StreamId

_logger = logging.getLogger(__name__)

_INTERRUPTED = Outcome(kind="interrupted")
_FAILED = Outcome(kind="failed", code="internal_error")


class Producer:
    """Produces replies; one instance serves every generation of the process.

    Args:
        log: Where events are written.
        store: Where replies are saved.
        models: Finds a model by its name.
        checkpoint_interval: The time between two saves of the text so far.
        max_takeovers: How many takeovers of a stream in a row may be in vain: a prompt that kills
            its producers must not kill all of them.
        continues: Whether a reply whose producer died is continued or ends as interrupted.
        log_survives: Whether the log outlives this process, so that another can take over.
    """

    def __init__(
        self,
        log: StreamLog,
        store: ReplyStore,
        *,
        models: Callable[[str], LLM],
        checkpoint_interval: timedelta,
        max_takeovers: int,
        continues: bool,
        log_survives: bool,
    ) -> None:
        self._log = log
        self._store = store
        self._models = models
        self._checkpoint_interval = checkpoint_interval.total_seconds()
        self._max_takeovers = max_takeovers
        self._continues = continues
        self._log_survives = log_survives

    async def produce(
        self,
        identity: Identity,
        stream_id: StreamId,
        *,
        on_store_loss: Callable[[], None] = lambda: None,
    ) -> None:
        """Write the reply of `stream_id`, or the rest of it, and close the stream.

        If cancelled without a stop, it leaves the stream open for another process to take over, or
        ends it as interrupted if no other process can.

        Args:
            identity: The owner of the chat.
            stream_id: The stream.
            on_store_loss: Called when the store has lost the stream, and so whatever else it held,
                before the stream is written again.
        """
        try:
            if await retry_until_available(partial(self._is_being_restored, identity, stream_id)):
                _logger.info("generation left alone: stream %s has a producer", stream_id)
                return
            assignment = await retry_until_available(
                partial(self._store.claim, identity, stream_id)
            )
            try:
                await self._produce_claimed(identity, stream_id, assignment, on_store_loss)
            except (Fenced, StreamClosed, ChatNotFound):
                raise
            except Exception:
                if assignment.takeover <= self._max_takeovers:
                    raise  # the next producer may succeed
                _logger.exception("generation given up: stream %s", stream_id)
                await self._give_up(identity, stream_id, assignment, _FAILED)
        except (Fenced, StreamClosed, ChatNotFound) as error:
            # ChatNotFound: the chat was deleted; or the store failed while the turn was scheduled,
            # and the turn was withdrawn although the store had the task by then.
            _logger.info("generation given up: %s", error)
            await self._delete_log_if_chat_gone(identity, stream_id)

    async def _is_being_restored(self, identity: Identity, stream_id: StreamId) -> bool:
        """Whether a live producer is writing again what the store lost: a claim would fence it."""
        tail = await self._store.durable_tail(identity, stream_id)
        if not tail or not await self._log_lacks(stream_id, tail):
            return False
        await asyncio.sleep(self._log.options.restore_grace.total_seconds())
        return not await self._log_lacks(stream_id, tail)

    async def _log_lacks(self, stream_id: StreamId, tail: int) -> bool:
        """Whether the log ends before offset `tail`."""
        try:
            return (await self._log.state(stream_id)).tail < tail
        except StreamNotFound:
            return True

    async def _produce_claimed(
        self,
        identity: Identity,
        stream_id: StreamId,
        assignment: Assignment,
        on_store_loss: Callable[[], None],
    ) -> None:
        if assignment.takeover and await retry_until_available(
            partial(self._log_lacks, stream_id, assignment.tail)
        ):
            # The previous producer is gone, and so is the log or a durable end of it: the store
            # restarted empty or from an older copy. The stream cannot be continued: a viewer may
            # have seen more of it than is known here, and would be sent other events at offsets it
            # has passed. Without a log, every viewer is sent the message.
            return await self._give_up(identity, stream_id, assignment, _INTERRUPTED)
        still_owner = partial(
            self._may_restore, identity, stream_id, assignment.token, on_store_loss
        )
        open_log = partial(
            self._log.open, stream_id, token=assignment.token, still_owner=still_owner
        )
        try:
            appender = await retry_until_available(open_log)
        except StreamNotFound:  # viewers in this process have seen more of it
            return await self._give_up(identity, stream_id, assignment, _INTERRUPTED)
        except StreamClosed:
            if assignment.outcome is None:  # the database is an older copy, the store is not
                await self._save_from_log(identity, stream_id, assignment)
            raise
        try:
            writing = Writing(appender, assignment)
            if assignment.outcome is None:
                await self._write(identity, writing)
            else:
                writing.complete()
                await writing.close(assignment.outcome)
        finally:
            await self._log.leave(appender)

    async def _may_restore(
        self,
        identity: Identity,
        stream_id: StreamId,
        token: int,
        on_store_loss: Callable[[], None],
    ) -> bool:
        owner = await self._store.still_owner(identity, stream_id, token=token)
        if owner:
            on_store_loss()
        return owner

    async def _delete_log_if_chat_gone(self, identity: Identity, stream_id: StreamId) -> None:
        """Delete the log if the chat was deleted before the log was opened, or even created."""
        try:
            await self._store.still_owner(identity, stream_id, token=0)
        except ChatNotFound:
            await self._log.delete(stream_id)

    async def _give_up(
        self,
        identity: Identity,
        stream_id: StreamId,
        assignment: Assignment,
        outcome: Outcome,
    ) -> None:
        """Delete the log; if the row is open, close it with the newest checkpoint."""
        await retry_until_available(partial(self._log.delete, stream_id))
        if assignment.outcome is None:
            finish = partial(self._store.finish, identity, stream_id, token=assignment.token)
            await retry_until_saved(partial(finish, outcome=outcome))

    async def _save_from_log(
        self, identity: Identity, stream_id: StreamId, assignment: Assignment
    ) -> None:
        """Save the reply that a closed log holds."""
        outcome = (await self._log.state(stream_id)).outcome or _INTERRUPTED
        batches = [batch.data async for batch in await self._log.follow(stream_id)]
        reply = Reply.from_frames(frame.split(b"".join(batches)))
        finish = partial(self._store.finish, identity, stream_id, token=assignment.token)
        await retry_until_saved(
            partial(finish, parts=reply.stored(), outcome=outcome, meta=reply.metadata)
        )

    async def _write(self, identity: Identity, writing: Writing) -> None:
        # Until the reply is saved: a producer that waits for the database is alive.
        async with self._checkpoints(identity, writing):
            outcome = await self._finish_reply(writing)
            save = partial(
                self._store.finish,
                identity,
                writing.appender.stream_id,
                token=writing.assignment.token,
                parts=writing.reply.stored(),
                outcome=outcome,
                meta=writing.meta(),
                tail=writing.appender.tail.end,
            )
            await retry_until_saved(save)
        await writing.close(outcome)

    async def _finish_reply(self, writing: Writing) -> Outcome:
        """Finish the reply, unless the log has all of it, and return how it ended."""
        outcome = _INTERRUPTED
        if not writing.reply.finished:
            calling = self._may_call_model(writing)
            writing.begin(calling_model=calling)
            if calling:
                outcome = await self._answer(writing)
        # A stop or the end of the process may have come after the model's last word.
        return writing.reply.outcome if writing.reply.finished else outcome

    def _may_call_model(self, writing: Writing) -> bool:
        lost = writing.assignment.takeover > 0
        if lost and not self._continues:
            return False
        return writing.takeovers_in_vain <= self._max_takeovers

    async def _answer(self, writing: Writing) -> Outcome:
        """Pump the model until it is done or stopped; return how that ended."""
        model = self._models(writing.assignment.model)
        pump = asyncio.create_task(writing.pump(model), name="model")
        stop = asyncio.create_task(writing.appender.stop_requested.wait(), name="stop")
        try:
            await asyncio.wait({pump, stop}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if self._log_survives:
                raise
            # This process ends, and the log with it: keep what there is.
            return _INTERRUPTED
        finally:
            # Closing the model's stream ends the request to the provider.
            for task in (pump, stop):
                task.cancel()
            await asyncio.wait({pump, stop})
        if pump.cancelled():
            return Outcome(kind="stopped")
        pump.result()  # raises if the right to write is lost
        return writing.reply.outcome

    @asynccontextmanager
    async def _checkpoints(self, identity: Identity, writing: Writing) -> AsyncGenerator[None]:
        async def keep() -> None:
            outage = writing.appender.outage
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._checkpoint_interval):
                        await outage.wait()  # the store may come back with less of the reply
                outage.clear()
                try:
                    await self._store.checkpoint(
                        identity,
                        writing.appender.stream_id,
                        token=writing.assignment.token,
                        text=writing.reply.text,
                        tail=writing.appender.tail.end,
                    )
                except (Fenced, ChatNotFound):
                    writing.appender.fence()  # the log may not know yet
                    return
                except Exception:  # outermost frame of its task; the next checkpoint may succeed
                    _logger.exception("checkpoint failed")

        keeping = asyncio.create_task(keep(), name="checkpoints")
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
