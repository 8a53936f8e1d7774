"""Wallets and the ledger."""
