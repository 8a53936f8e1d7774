"""Who calls and how often: credentials, cookies, rate limits."""
