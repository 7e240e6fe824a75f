"""The page of a chat, as a person uses it."""

import json
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

ENDS = {"done", "stopped", "failed", "interrupted"}
CHAT_URL = re.compile(r"/chat/[0-9a-f]+$")


@dataclass
class ChatPage:
    """A tab with the page.

    Attributes:
        database: The application's SQLite file.
    """

    page: Page
    database: Path

    def open(self, path: str = "/") -> None:
        """Open a path and wait for the session: on a first visit the page reloads itself."""
        self.page.goto(path)
        expect(self.prompt).to_be_enabled()

    def send(self, text: str) -> None:
        """Send a prompt and wait until the page shows it in its chat."""
        self.prompt.fill(text)
        # The page may be loading, or the server may not yet know that it saw the last answer end.
        expect(self.page.get_by_test_id("send")).to_be_enabled()
        self.prompt.press("Enter")
        self.page.wait_for_url(CHAT_URL)
        # The address changes a moment before the new-chat page gives way to the page of the chat.
        expect(self.page.locator("[data-testid=new-chat][aria-current=page]")).to_have_count(0)
        expect(self.page.get_by_test_id("prompt-message").last).to_have_text(text)

    @property
    def prompt(self) -> Locator:
        return self.page.get_by_test_id("prompt")

    @property
    def answer(self) -> Locator:
        return self.page.get_by_test_id("answer").last

    @property
    def chat_id(self) -> str:
        return self.page.url.rpartition("/")[2]

    def reads(self, text: str, *, within: float = 20) -> None:
        """Wait until the answer's exact text is `text`."""
        self.page.wait_for_function(
            "text => [...document.querySelectorAll('[data-testid=answer]')].at(-1)?.rawText === text",
            arg=text,
            timeout=within * 1000,
        )

    def has_status(self, status: str) -> None:
        """Wait until the answer shows `status` and, if that is final, the page is idle again."""
        expect(self.answer).to_have_attribute("data-status", status)
        if status in ENDS:
            # The stream reports the end first; the page is idle once it has the stored message.
            messages = self.page.get_by_test_id("messages")
            expect(messages).to_have_attribute("data-answering", "false")

    def stored(self) -> list[tuple[str, str, str]]:
        """Return role, text and status of each message of this chat in the database."""
        query = (
            "SELECT role, parts, status FROM message JOIN chat ON chat.key = message.chat_key "
            "WHERE chat.id = ? ORDER BY position"
        )
        with closing(sqlite3.connect(self.database)) as connection:
            rows = connection.execute(query, [self.chat_id]).fetchall()
        return [
            (role, "".join(part["text"] for part in json.loads(parts)), status)
            for role, parts, status in rows
        ]

    def lengthen(self, *, turns: int, reply: str) -> None:
        """Add turns after the last message of this chat, as from a year of use."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            columns = [row[1] for row in connection.execute("PRAGMA table_info(message)")]
            query = (
                "SELECT message.* FROM message JOIN chat ON chat.key = message.chat_key "
                "WHERE chat.id = ? ORDER BY position DESC LIMIT 1"
            )
            connection.row_factory = sqlite3.Row
            last = dict(connection.execute(query, [self.chat_id]).fetchone())
            marks = ", ".join("?" * len(columns))
            for number in range(1, turns + 1):
                for role, text in (("user", f"Prompt {number}"), ("assistant", reply)):
                    last = last | {
                        "id": f"{role}-{number}",
                        "parent_id": last["id"],
                        "position": last["position"] + 1,
                        "role": role,
                        "parts": json.dumps([{"type": "text", "text": text}]),
                        "created_at": str(datetime.now(UTC).replace(tzinfo=None)),
                    }
                    values = [last[column] for column in columns]
                    connection.execute(f"INSERT INTO message VALUES ({marks})", values)
            connection.execute(
                "UPDATE chat SET active_message_id = ? WHERE id = ?", [last["id"], self.chat_id]
            )
