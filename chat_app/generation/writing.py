"""One reply being written: what the model says, as events in the log."""

from contextlib import aclosing
from dataclasses import replace
from typing import Any

from chat_app.generation.assignment import Assignment
from chat_app.generation.llm import LLM, Delta, Finish
from chat_app.generation.reply import Kind, Part, Reply
from chat_app.streams.appender import Appender
from chat_app.streams.model import Outcome

_TEXT_OF_FAILURE = {
    "provider_throttled": "The model provider is busy. Try again in a moment.",
    "provider_unavailable": "The model provider does not answer. Try again.",
    "prompt_rejected": "The model provider does not accept this prompt. Change it and try again.",
}
_FINISH_REASON = {"failed": "error", "interrupted": "interrupted", "stopped": "other"}


class Writing:
    """A reply on its way from the model to the log.

    Attributes:
        reply: What was written so far, by earlier producers too.
    """

    def __init__(self, appender: Appender, assignment: Assignment) -> None:
        self.appender = appender
        self.assignment = assignment
        self.reply = Reply.from_frames(appender.tail.frames(after=0))

    def begin(self) -> None:
        """Begin the message, unless somebody has; with all it held before, if it is continued."""
        if self.reply.started:
            return
        self._add({"type": "start", "messageId": self.assignment.reply_id})
        self._add({"type": "start-step"})
        for part in self.assignment.parts:
            self._take(Delta(text=part["text"], kind=part["type"]))

    async def pump(self, model: LLM) -> None:
        """Everything the model says, into the log and the reply.

        That it is everything is in the log too, so that nobody asks the model once more when the
        reply could not be saved.
        """
        prompt = replace(self.assignment.prompt, prefix=self.reply.text)
        async with aclosing(model.stream(prompt)) as deltas:
            async for delta in deltas:
                if isinstance(delta, Finish):
                    self._end_part()
                    meta = _meta(self.assignment.model, delta)
                    self._add({"type": "message-metadata", "messageMetadata": meta})
                else:
                    self._take(delta)
                    await self.appender.room()
        self._end_step()
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

    def _add(self, event: dict[str, Any]) -> None:
        self.reply.fold(event)
        self.appender.append(event)

    def meta(self) -> dict[str, Any]:
        """What is worth knowing of how the reply was made."""
        return {"model": self.assignment.model, **self.reply.metadata}

    async def close(self, outcome: Outcome) -> None:
        """Append the closing events and close, in one atomic step; the reply is saved by then."""
        self._end_step()
        if outcome.kind == "failed":
            text = _TEXT_OF_FAILURE.get(outcome.code or "", "Something went wrong. Try again.")
            self._add({"type": "error", "errorText": text, "code": outcome.code})
        elif outcome.kind == "stopped":
            self._add({"type": "abort", "reason": "stopped"})
        meta = self.meta()
        reason = _FINISH_REASON.get(outcome.kind, meta.get("finish_reason", "stop"))
        told = {"outcome": outcome.kind, **meta}
        if outcome.code:
            told["code"] = outcome.code
        self._add({"type": "finish", "finishReason": reason, "messageMetadata": told})
        await self.appender.close(outcome)


def _meta(model: str, finish: Finish) -> dict[str, Any]:
    meta: dict[str, Any] = {"model": model, "finish_reason": finish.reason}
    if finish.usage is not None:
        meta["prompt_tokens"] = finish.usage.prompt_tokens
        meta["completion_tokens"] = finish.usage.completion_tokens
    return meta


def _clean(text: str) -> str:
    """`text` without what a database or UTF-8 cannot hold: NUL and lone surrogates."""
    return text.replace("\0", "").encode(errors="replace").decode()
