"""First tables."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    _create_users()
    _create_chats()
    _create_streams()


def downgrade() -> None:
    """Undo."""
    for table in ("stream", "message", "chat", "login_session", "user"):
        op.drop_table(table)


def _time(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _create_users() -> None:
    op.create_table(
        "user",
        sa.Column("id", sa.String(32), nullable=False),
        _time("created_at"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "login_session",
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(32), nullable=False),
        _time("created_at"),
        _time("expires_at"),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("token_hash"),
    )
    op.create_index("ix_login_session_user_id", "login_session", ["user_id"])


def _create_chats() -> None:
    op.create_table(
        "chat",
        sa.Column("key", sa.String(32), nullable=False),
        sa.Column("user_id", sa.String(32), nullable=False),
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        _time("created_at"),
        _time("updated_at"),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key"),
        sa.UniqueConstraint("user_id", "id", name="uq_chat_user_id_id"),
    )
    op.create_index("ix_chat_user_id_updated_at", "chat", ["user_id", "updated_at"])
    op.create_table(
        "message",
        sa.Column("chat_key", sa.String(32), nullable=False),
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("meta", sa.JSON(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        _time("created_at"),
        sa.ForeignKeyConstraint(["chat_key"], ["chat.key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("chat_key", "id"),
        sa.UniqueConstraint("chat_key", "position", name="uq_message_chat_key_position"),
    )


def _create_streams() -> None:
    op.create_table(
        "stream",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("chat_key", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("prompt_id", sa.String(128), nullable=False),
        sa.Column("reply_id", sa.String(128), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        _time("created_at"),
        sa.Column("fencing_token", sa.Integer(), nullable=False),
        sa.Column("checkpoint", sa.Text(), nullable=False),
        _time("checkpointed_at", nullable=True),
        sa.Column("outcome", sa.String(16), nullable=True),
        sa.Column("error_code", sa.String(64), nullable=True),
        _time("closed_at", nullable=True),
        sa.ForeignKeyConstraint(["chat_key"], ["chat.key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("chat_key", "position", name="uq_stream_chat_key_position"),
    )
    is_open = sa.text("outcome IS NULL")
    op.create_index(
        "uq_stream_open_chat_key",
        "stream",
        ["chat_key"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
