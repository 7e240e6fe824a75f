"""The laws that must hold for every turn, whatever happened during it."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from chat_app.generation.demo import DemoLLM
from chat_app.generation.llm import Delta, Prompt, PromptMessage
from tests.support.viewer import Viewer


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the database holds of a turn.

    Attributes:
        replies: Text and status of each reply; there should be one.
        outcomes: The outcome of each stream; None if it is still open.
        takeovers: How often another producer took over the reply.
    """

    replies: list[tuple[str, str]]
    outcomes: list[str | None]
    takeovers: int


async def whole_answer(prompt: str) -> str:
    """Return the demo model's undisturbed answer to `prompt`."""

    async def no_sleep(_seconds: float) -> None:
        return None

    model = DemoLLM(clock=lambda: 0.0, sleep=no_sleep)
    asked = Prompt(messages=(PromptMessage(role="user", text=prompt),))
    return "".join([item.text async for item in model.stream(asked) if isinstance(item, Delta)])


def read_stored(folder: Path, chat: str) -> Stored:
    """Read a turn from the database directly, not through a server."""
    with closing(sqlite3.connect(folder / "chat.db", timeout=10)) as database:
        (key,) = database.execute("SELECT key FROM chat WHERE id = ?", [chat]).fetchone()
        replies = database.execute(
            "SELECT parts, status, meta FROM message WHERE chat_key = ? AND role = 'assistant'",
            [key],
        ).fetchall()
        streams = database.execute("SELECT outcome FROM stream WHERE chat_key = ?", [key])
        return Stored(
            replies=[(_text(parts), status) for parts, status, _ in replies],
            outcomes=[outcome for (outcome,) in streams.fetchall()],
            takeovers=sum(json.loads(meta).get("takeovers", 0) for _, _, meta in replies),
        )


async def read_log(redis_url: str, stream_id: str) -> list[bytes]:
    """Read the frames of a stream directly from Redis; none if Redis has lost them."""
    async with Redis.from_url(redis_url) as client:
        entries = await client.xrange(f"chat:{{{stream_id}}}:log")
    frames: list[bytes] = []
    for number, (entry, fields) in enumerate(entries, start=1):
        assert entry == b"%d-0" % number, f"{entry!r} is entry {number}"
        frames.append(fields[b"f"])
    return frames


def open_streams(folder: Path) -> int:
    """Return how many streams are open according to the database."""
    with closing(sqlite3.connect(folder / "chat.db", timeout=10)) as database:
        return database.execute("SELECT count(*) FROM stream WHERE outcome IS NULL").fetchone()[0]


def broken(whole: str, viewers: list[Viewer], log: list[bytes], stored: Stored) -> list[str]:
    """Return the laws that a turn breaks, each with what was found instead.

    Args:
        whole: The model's whole answer to the prompt.
        viewers: The viewers, each of which followed the answer to its end.
        log: The frames in Redis; empty if Redis lost them once the stream was closed.
        stored: What the database holds.
    """
    found = [error for viewer in viewers for error in viewer.errors]
    found += [
        f"a viewer saw {_difference(viewer.text, whole)}"
        for viewer in viewers
        if viewer.text != whole and not viewer.stored
    ]
    for viewer in viewers:
        other = log or max((each.frames for each in viewers), key=len)
        if viewer.frames != other and viewer.frames != other[: len(viewer.frames)]:
            found.append("two viewers saw different bytes at the same offset")
        elif log and len(viewer.frames) != len(log) and not viewer.stored:
            found.append(f"a viewer saw {len(viewer.frames)} events of {len(log)}")
    if stored.outcomes != ["completed"]:
        found.append(f"its streams ended as {stored.outcomes}")
    if [status for _, status in stored.replies] != ["complete"]:
        found.append(f"its replies are {[status for _, status in stored.replies]}")
    found += [
        f"the database has {_difference(text, whole)}"
        for text, _ in stored.replies
        if text != whole
    ]
    return found


def _text(parts: str) -> str:
    return "".join(part.get("text", "") for part in json.loads(parts) if part["type"] == "text")


def _difference(text: str, whole: str) -> str:
    at = next(
        (at for at, pair in enumerate(zip(text, whole, strict=False)) if pair[0] != pair[1]),
        min(len(text), len(whole)),
    )
    here, there = text[at : at + 20], whole[at : at + 20]
    return f"{len(text)} characters of {len(whole)}: from {at} on {here!r} instead of {there!r}"
