"""Messages form a tree, and a chat knows its active path.

Every existing chat is a line: each message's parent is the one before it, the last is the leaf.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("chat") as chat:
        chat.add_column(sa.Column("active_message_id", sa.String(128), nullable=True))
    with op.batch_alter_table("message") as message:
        message.add_column(sa.Column("parent_id", sa.String(128), nullable=True))
    with op.batch_alter_table("stream") as stream:
        stream.add_column(sa.Column("tail", sa.Integer(), nullable=False, server_default="0"))
    op.execute(
        "UPDATE message SET parent_id = ("
        "SELECT before.id FROM message AS before WHERE before.chat_key = message.chat_key "
        "AND before.position < message.position ORDER BY before.position DESC LIMIT 1)"
    )
    op.execute(
        "UPDATE chat SET active_message_id = ("
        "SELECT message.id FROM message WHERE message.chat_key = chat.key "
        "ORDER BY message.position DESC LIMIT 1)"
    )
    with op.batch_alter_table("message") as message:
        message.create_foreign_key(
            "fk_message_parent_id", "message", ["chat_key", "parent_id"], ["chat_key", "id"]
        )
        message.create_index("ix_message_chat_key_parent_id", ["chat_key", "parent_id"])


def downgrade() -> None:
    """Undo: the messages of all branches stay, in the order of their positions."""
    with op.batch_alter_table("stream") as stream:
        stream.drop_column("tail")
    with op.batch_alter_table("message") as message:
        message.drop_index("ix_message_chat_key_parent_id")
        message.drop_constraint("fk_message_parent_id", type_="foreignkey")
        message.drop_column("parent_id")
    with op.batch_alter_table("chat") as chat:
        chat.drop_column("active_message_id")
