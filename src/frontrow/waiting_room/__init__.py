"""THE LINE: places, tokens, admission."""
