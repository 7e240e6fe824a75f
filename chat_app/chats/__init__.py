"""The database: chats, their messages and the streams that answer them."""
