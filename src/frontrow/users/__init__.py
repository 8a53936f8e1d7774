"""WHO BUYS: accounts, user keys, sign-in at an OpenID issuer."""
