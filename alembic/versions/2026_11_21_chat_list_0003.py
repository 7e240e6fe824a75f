"""Chats can be pinned, searched, marked as read and discarded; a title records who chose it.

Existing chats count as read and are made searchable.
"""

import json
import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("chat") as chat:
        chat.add_column(sa.Column("pinned", sa.Boolean(), nullable=False, server_default=sa.false()))
        chat.add_column(sa.Column("read_at", sa.DateTime(timezone=True), nullable=True))
        chat.add_column(sa.Column("discarded_at", sa.DateTime(timezone=True), nullable=True))
        chat.add_column(
            sa.Column("title_by", sa.String(16), nullable=False, server_default="rule")
        )
        chat.add_column(sa.Column("searchable", sa.Text(), nullable=False, server_default=""))
        chat.create_index("ix_chat_discarded_at", ["discarded_at"])
    with op.batch_alter_table("message") as message:
        message.add_column(sa.Column("searchable", sa.Text(), nullable=False, server_default=""))
    op.execute("UPDATE chat SET read_at = updated_at")
    _make_searchable(op.get_bind())


def downgrade() -> None:
    """Undo: discarded chats reappear."""
    with op.batch_alter_table("message") as message:
        message.drop_column("searchable")
    with op.batch_alter_table("chat") as chat:
        chat.drop_index("ix_chat_discarded_at")
        for column in ("searchable", "title_by", "discarded_at", "read_at", "pinned"):
            chat.drop_column(column)


def _make_searchable(connection: sa.Connection) -> None:
    """Fill in, chat by chat, what the application itself writes from now on."""
    chats = connection.execute(sa.text("SELECT key, title FROM chat")).all()
    for key, title in chats:
        connection.execute(
            sa.text("UPDATE chat SET searchable = :text WHERE key = :key"),
            {"text": _folded(title), "key": key},
        )
        messages = connection.execute(
            sa.text("SELECT id, parts FROM message WHERE chat_key = :key"), {"key": key}
        ).all()
        for message_id, parts in messages:
            parts = json.loads(parts) if isinstance(parts, str) else parts
            text = " ".join(part["text"] for part in parts if part.get("type") == "text")
            connection.execute(
                sa.text(
                    "UPDATE message SET searchable = :text WHERE chat_key = :key AND id = :id"
                ),
                {"text": _folded(text), "key": key, "id": message_id},
            )


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
