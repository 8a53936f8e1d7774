"""Accounts, user keys, and sign-in at an OpenID issuer."""
