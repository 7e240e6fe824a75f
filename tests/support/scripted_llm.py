"""A model that says what the test tells it to, when the test tells it to."""

import asyncio
from collections.abc import AsyncGenerator

from chat_app.generation.llm import Delta, Finish, Prompt

Line = str | Delta | Finish | Exception


class ScriptedLLM:
    """Says the lines it is given, in order, and is silent in between.

    All requests share one script: after a request breaks off, the next one goes on where it
    stopped. An exception among the lines is raised.

    Attributes:
        prompts: The prompt of each request.
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
        """Wait until the model has received that many requests."""
        while len(self.prompts) < times:
            await self._change()

    async def idle(self) -> None:
        """Wait until no request is being answered."""
        while self.at_work:
            await self._change()

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Delta | Finish]:
        """Answer with the lines that no request has had yet; see `LLM.stream`."""
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
