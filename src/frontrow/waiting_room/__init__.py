"""The line: places, tokens, admission."""
