"""Users and their sessions: from a cookie to an `Identity`."""
