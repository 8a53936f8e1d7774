"""The public calls of the contract."""
