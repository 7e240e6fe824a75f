"""The HTTP edge: everything that knows FastAPI, status codes and cookies."""
