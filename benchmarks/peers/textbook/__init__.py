"""The textbook system: FastAPI, a Redis sorted set for the line, SQLAlchemy and row locks."""
