"""Access of a request: its credential, cookies, client address and rate limits."""
