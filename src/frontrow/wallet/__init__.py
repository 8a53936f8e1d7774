"""WHERE MONEY MOVES: wallets and the ledger."""
