"""Retention: pruning of old data, and the export and erasure of a user's data."""
