"""A reply in the making: what its events so far add up to."""

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
    """A run of text, or of reasoning, as the model gave it."""

    id: str
    kind: Kind
    ended: bool = False
    # A million short strings take ten times the memory of their text.
    _text: StringIO = field(default_factory=StringIO, repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Part) and self._told() == other._told()

    def _told(self) -> tuple[object, ...]:
        return self.id, self.kind, self.text, self.ended

    def add(self, text: str) -> None:
        """Go on with it."""
        self._text.write(text)

    @property
    def text(self) -> str:
        """All of it so far."""
        return self._text.getvalue()


@dataclass(slots=True)
class Reply:
    """The parts of a reply, folded from the events of its stream.

    A producer that takes over reads the log into one of these and goes on from there, so what it
    adds fits what is there: law 6, text rendered = text in the log = text in the database.

    Attributes:
        started: Whether its first event is there.
        finished: Whether the model has said everything, or failed; what is left is to save and to
            close.
        parts: What it said.
        metadata: What was told of how the reply was made.
        spoken_by: How often the reply had been taken over when the newest delta was added: which
            producer it was. None while there is no delta.
    """

    started: bool = False
    finished: bool = False
    parts: list[Part] = field(default_factory=list[Part])
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    spoken_by: int | None = None

    @classmethod
    def from_frames(cls, frames: Iterable[bytes]) -> "Reply":
        """What the frames of a stream, from its first, add up to."""
        reply = cls()
        for _, event in map(frame.decode, frames):
            reply.fold(event)
        return reply

    def fold(self, event: dict[str, Any]) -> None:
        """Take one event; types that add nothing to the message are passed over."""
        match event["type"]:
            case "start":
                self.started = True
                self.metadata |= event.get("messageMetadata", {})
            case "text-start" | "reasoning-start" as kind:
                self.parts.append(Part(id=event["id"], kind=kind.removesuffix("-start")))
            case "text-delta" | "reasoning-delta":
                self.parts[-1].add(event["delta"])
                self.spoken_by = self.metadata.get("takeovers", 0)
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
        """The part that is being written."""
        return self.parts[-1] if self.parts and not self.parts[-1].ended else None

    @property
    def text(self) -> str:
        """What the user was answered, without the reasoning."""
        return "".join(part.text for part in self.parts if part.kind == "text")

    def stored(self) -> list[dict[str, Any]]:
        """The parts as the database keeps them."""
        return [{"type": part.kind, "text": part.text} for part in self.parts if part.text]
