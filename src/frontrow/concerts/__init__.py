"""Concerts, their shows and their seats."""
