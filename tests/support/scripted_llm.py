"""A model that says what a test gives it, when the test gives it."""

import asyncio
from collections.abc import AsyncGenerator

from chat_app.generation.llm import Delta, Finish, Prompt

Line = str | Delta | Finish | Exception


class ScriptedLLM:
    """Speaks the lines it is given, in order, and is silent in between.

    All requests share one script: a request that follows a broken-off one goes on where that one
    stopped. An exception among the lines is raised.

    Attributes:
        prompts: What it was asked, one for each request.
        at_work: How many requests are being answered.
    """

    name = "scripted"

    def __init__(self, *lines: Line) -> None:
        self.prompts: list[Prompt] = []
        self.at_work = 0
        self._script: asyncio.Queue[Line] = asyncio.Queue()
        self._changed = asyncio.Event()
        self.say(*lines)

    def say(self, *lines: Line) -> None:
        """Add lines to the script."""
        for line in lines:
            self._script.put_nowait(line)

    async def asked(self, times: int = 1) -> None:
        """Return when it has got that many requests."""
        while len(self.prompts) < times:
            await self._change()

    async def idle(self) -> None:
        """Return when it answers nobody."""
        while self.at_work:
            await self._change()

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Delta | Finish]:
        """Answer with the lines that nobody has been given yet; see `LLM.stream`."""
        self.prompts.append(prompt)
        self.at_work += 1
        self._changed.set()
        try:
            while True:
                line = await self._script.get()
                if isinstance(line, Exception):
                    raise line
                yield Delta(text=line) if isinstance(line, str) else line
                if isinstance(line, Finish):
                    return
        finally:
            self.at_work -= 1
            self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
