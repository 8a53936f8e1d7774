"""WHO A USER IS: guest accounts and their keys."""
