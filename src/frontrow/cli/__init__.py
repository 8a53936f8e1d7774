"""The command ``frontrow``."""
