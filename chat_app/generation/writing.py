"""One reply being written: what the model says, as events in the log."""

import logging
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from chat_app.errors import Fenced, GenerationError, StreamClosed
from chat_app.generation.assignment import Assignment
from chat_app.generation.llm import LLM, Delta, Finish
from chat_app.generation.reply import Kind, Part, Reply
from chat_app.streams.appender import Appender
from chat_app.streams.model import Outcome

_logger = logging.getLogger(__name__)

_FAILURE_TEXTS = {
    "provider_misconfigured": "The model is not set up correctly. The server's log says why.",
    "provider_throttled": "The model provider is rate-limiting requests. Try again in a moment.",
    "provider_unavailable": "The model provider is not responding. Try again.",
    "prompt_rejected": "The model provider rejected this prompt. Change it and try again.",
    "context_exceeded": "The chat has become too long for the model. Start a new one.",
}
_FINISH_REASON = {"failed": "error", "interrupted": "interrupted", "stopped": "other"}
_CUMULATIVE = (
    "model_calls",
    "takeovers",
    "regenerated_deltas",
    "prompt_tokens",
    "completion_tokens",
    "reasoning_ms",
)
"""Metadata that a continued reply keeps and adds to; the rest is about its newest stream alone."""


class Writing:
    """A reply on its way from the model to the log.

    Attributes:
        reply: What has been written so far, by earlier producers too.
    """

    def __init__(self, appender: Appender, assignment: Assignment) -> None:
        self.appender = appender
        self.assignment = assignment
        self.reply = Reply.from_frames(appender.tail.frames(after=0))
        self._awaiting_first_delta = not self.reply.parts  # the first delta will be this producer's
        self._thinking_since: int | None = None  # ms; set while the model is reasoning
        before = assignment.metadata
        self._carried_over = {name: before[name] for name in _CUMULATIVE if name in before}

    @property
    def takeovers_in_vain(self) -> int:
        """How many takeovers in a row, up to this one, were from a producer that added nothing.

        A takeover from a producer that added something does not count: a long answer may outlive
        any number of deploys.
        """
        if self.reply.takeovers_at_newest_delta is None:
            return self.assignment.takeover
        return self._takeovers - self.reply.takeovers_at_newest_delta - 1

    @property
    def _takeovers(self) -> int:
        return self._carried_over.get("takeovers", 0) + self.assignment.takeover

    def begin(self, *, calling_model: bool) -> None:
        """Begin the message, or record the takeover; then write what the database has of it.

        That is what the reply held before it was continued, and what a checkpoint has beyond the
        log: the store fell behind and then the producer died.

        Args:
            calling_model: Whether the model is about to be called: each call is counted.
        """
        so_far = self.reply.metadata if self.reply.started else self._carried_over
        counts: dict[str, Any] = {
            "model_calls": so_far.get("model_calls", 0) + calling_model,
            "takeovers": self._takeovers,
            "regenerated_deltas": so_far.get("regenerated_deltas", 0),
        }
        if self.reply.started:
            self._add_metadata(counts)
        else:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            meta = {
                **self._carried_over,
                "model": self.assignment.model,
                "started_at": now,
                **counts,
            }
            reply_id = self.assignment.reply_id
            self._add({"type": "start", "messageId": reply_id, "messageMetadata": meta})
            if self.assignment.parts:
                # A client that shows these parts already, and adds to them, would show them twice.
                self._add({"type": "reset-step"})
            self._add({"type": "start-step"})
            for part in self.assignment.parts:
                self._add_delta(Delta(text=part["text"], kind=part["type"]))
        self._catch_up(self.assignment.checkpoint)

    def complete(self) -> None:
        """Write what the log lacks of the saved reply: its producer died before closing the log."""
        saved, have = self.assignment.parts, self.reply.stored()
        if not self.reply.started:
            if saved:
                self.begin(calling_model=False)
        elif _kinds(saved[: len(have)]) != _kinds(have):
            # The reply was saved from a checkpoint, which has no reasoning.
            self._catch_up("".join(part["text"] for part in saved if part["type"] == "text"))
        elif not self.reply.finished:
            newest = max(0, len(have) - 1)
            so_far = have[-1]["text"] if have else ""
            for part in saved[newest:]:
                if part["text"].startswith(so_far):
                    self._add_delta(Delta(text=part["text"][len(so_far) :], kind=part["type"]))
                so_far = ""

    def _catch_up(self, kept: str) -> None:
        text = self.reply.text
        if kept.startswith(text):
            self._add_delta(Delta(text=kept[len(text) :]))

    async def pump(self, model: LLM) -> None:
        """Write everything the model says into the log and the reply.

        The log also records that the model finished or failed, so that no later producer asks it
        again if the reply could not be saved.
        """
        try:
            if self.assignment.takeover:
                await self.appender.wait_flushed()  # a call is counted before it is made
            meta = await self._write_deltas(model)
        except (Fenced, StreamClosed):
            raise  # losing the right to write is not an outcome
        except GenerationError as error:
            _logger.warning("the model failed: %s", error)
            meta = {"code": error.code}
        except Exception:  # whatever a model raises ends the reply, not the process
            _logger.exception("the model failed unexpectedly")
            meta = {"code": "internal_error"}
        self._end_part()
        self._add_metadata({**meta, **self._duration()})
        self._end_step()
        await self.appender.wait_flushed()

    async def _write_deltas(self, model: LLM) -> dict[str, Any]:
        """Write every delta; return the metadata known at the end."""
        meta: dict[str, Any] = {}
        prompt = replace(self.assignment.prompt, prefix=self.reply.text)
        async with aclosing(model.stream(prompt)) as deltas:
            async for delta in deltas:
                if isinstance(delta, Finish):
                    meta = self._finish_metadata(delta)
                    continue
                if delta.repeats:
                    before = self.reply.metadata["regenerated_deltas"]
                    self._add_metadata({"regenerated_deltas": before + delta.repeats})
                if delta.text:
                    self._record_timing(delta.kind)
                    self._add_delta(delta)
                    await self.appender.wait_for_room()
        return meta

    def _record_timing(self, kind: Kind) -> None:
        """Record when the first delta came and, once the answer begins, how long reasoning took."""
        if self._awaiting_first_delta:
            self._awaiting_first_delta = False
            self.reply.metadata["first_delta_ms"] = self._elapsed()
        if kind == "reasoning":
            if self._thinking_since is None:
                self._thinking_since = self._elapsed()
        elif self._thinking_since is not None:
            thought = max(1, self._elapsed() - self._thinking_since)  # 0 means no reasoning
            self._thinking_since = None
            self._end_part()
            self._add_metadata(
                {"reasoning_ms": self.reply.metadata.get("reasoning_ms", 0) + thought}
            )

    def _finish_metadata(self, finish: Finish) -> dict[str, Any]:
        meta: dict[str, Any] = {"finish_reason": finish.reason}
        if finish.usage is not None:
            before = self.reply.metadata
            for name in ("prompt_tokens", "completion_tokens"):
                meta[name] = before.get(name, 0) + getattr(finish.usage, name)
        return meta

    def _add_delta(self, delta: Delta) -> None:
        text = _clean(delta.text)
        if not text:
            return
        part = self.reply.open_part
        if part is None or part.kind != delta.kind:
            part = self._begin_part(delta.kind)
        part.add(text)
        self.appender.append_text(text, part_id=part.id, kind=f"{delta.kind}-delta")

    def _begin_part(self, kind: Kind) -> Part:
        self._end_part()
        self._add({"type": f"{kind}-start", "id": str(len(self.reply.parts) + 1)})
        return self.reply.parts[-1]

    def _end_part(self) -> None:
        part = self.reply.open_part
        if part is not None:
            self._add({"type": f"{part.kind}-end", "id": part.id})

    def _end_step(self) -> None:
        self._end_part()
        if self.reply.started and not self.reply.finished:
            self._add({"type": "finish-step"})

    def _add_metadata(self, metadata: dict[str, Any]) -> None:
        self._add({"type": "message-metadata", "messageMetadata": metadata})

    def _add(self, event: dict[str, Any]) -> None:
        self.reply.fold(event)
        self.appender.append(event)

    def _elapsed(self) -> int:
        """Milliseconds since the stream began, in whichever process that was."""
        now = datetime.now(UTC)
        started = datetime.fromisoformat(self.reply.metadata.get("started_at", now.isoformat()))
        return max(0, round((now - started).total_seconds() * 1000))

    def _duration(self) -> dict[str, Any]:
        first = self.reply.metadata.get("first_delta_ms")
        known = {} if first is None else {"first_delta_ms": first}
        return {**known, "duration_ms": self._elapsed()}

    def meta(self) -> dict[str, Any]:
        """How the reply was made; the same at every call."""
        if "duration_ms" not in self.reply.metadata:
            self.reply.metadata |= self._duration()
        return {"model": self.assignment.model, **self.reply.metadata}

    async def close(self, outcome: Outcome) -> None:
        """Append the closing events and close, in one atomic step; the reply is already saved."""
        self._end_step()
        if outcome.kind == "failed":
            text = _FAILURE_TEXTS.get(outcome.code or "", "Something went wrong. Try again.")
            self._add({"type": "error", "errorText": text, "code": outcome.code})
        elif outcome.kind == "stopped":
            self._add({"type": "abort", "reason": "stopped"})
        meta = self.meta()
        reason = _FINISH_REASON.get(outcome.kind, meta.get("finish_reason", "stop"))
        final = {"outcome": outcome.kind, **meta}
        if outcome.code:
            final["code"] = outcome.code
        self._add({"type": "finish", "finishReason": reason, "messageMetadata": final})
        await self.appender.close(outcome)


def _clean(text: str) -> str:
    """`text` as a database and UTF-8 can hold it: without NUL, lone surrogates replaced."""
    return text.replace("\0", "").encode(errors="replace").decode()


def _kinds(parts: Iterable[dict[str, Any]]) -> list[str]:
    return [part["type"] for part in parts]
