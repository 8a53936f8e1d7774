"""The processes that answer HTTP."""
