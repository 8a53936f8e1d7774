"""The operator's key and sessions."""
