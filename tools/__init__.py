"""Generators of documents: ``make docs``."""
