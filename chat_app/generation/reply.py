"""A reply in progress: what its events so far add up to."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from io import StringIO
from typing import Any, Literal, NewType

from chat_app.streams import frame
from chat_app.streams.model import Outcome

Kind = Literal["text", "reasoning"]
ReplyId = NewType("ReplyId", str)


@dataclass(slots=True, eq=False)
class Part:
    """A run of text or of reasoning from the model."""

    id: str
    kind: Kind
    ended: bool = False
    # A million short strings take ten times the memory of their text.
    _text: StringIO = field(default_factory=StringIO, repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Part) and self._fields() == other._fields()

    def _fields(self) -> tuple[object, ...]:
        return self.id, self.kind, self.text, self.ended

    def add(self, text: str) -> None:
        """Append `text`."""
        self._text.write(text)

    @property
    def text(self) -> str:
        """The text so far."""
        return self._text.getvalue()


@dataclass(slots=True)
class Reply:
    """The parts of a reply, folded from the events of its stream.

    A producer that takes over reads the log into one of these and continues from there, so what it
    adds fits what exists: text rendered = text in the log = text in the database.

    Attributes:
        started: Whether its first event exists.
        finished: Whether the model is done or has failed; only saving and closing are left.
        parts: What the model said.
        metadata: What the events tell of how the reply was made.
        takeovers_at_newest_delta: How many takeovers the reply had had when its newest delta was
            added: this tells which producer added it. None before the first delta.
    """

    started: bool = False
    finished: bool = False
    parts: list[Part] = field(default_factory=list[Part])
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    takeovers_at_newest_delta: int | None = None

    @classmethod
    def from_frames(cls, frames: Iterable[bytes]) -> "Reply":
        """Fold the frames of a stream, from its first."""
        reply = cls()
        for _, event in map(frame.decode, frames):
            reply.fold(event)
        return reply

    def fold(self, event: dict[str, Any]) -> None:
        """Add one event; types that add nothing to the message are ignored."""
        match event["type"]:
            case "start":
                self.started = True
                self.metadata |= event.get("messageMetadata", {})
            case "text-start" | "reasoning-start" as kind:
                self.parts.append(Part(id=event["id"], kind=kind.removesuffix("-start")))
            case "text-delta" | "reasoning-delta":
                self.parts[-1].add(event["delta"])
                self.takeovers_at_newest_delta = self.metadata.get("takeovers", 0)
            case "text-end" | "reasoning-end":
                self.parts[-1].ended = True
            case "message-metadata":
                self.metadata |= event["messageMetadata"]
            case "finish-step":
                self.finished = True
            case _:
                pass

    @property
    def outcome(self) -> Outcome:
        """How a finished reply ended."""
        code = self.metadata.get("code")
        return Outcome(kind="failed", code=code) if code else Outcome(kind="completed")

    @property
    def open_part(self) -> Part | None:
        """The part being written, if any."""
        return self.parts[-1] if self.parts and not self.parts[-1].ended else None

    @property
    def text(self) -> str:
        """The text of the answer, without the reasoning."""
        return "".join(part.text for part in self.parts if part.kind == "text")

    def stored(self) -> list[dict[str, Any]]:
        """The parts as the database keeps them."""
        return [{"type": part.kind, "text": part.text} for part in self.parts if part.text]
