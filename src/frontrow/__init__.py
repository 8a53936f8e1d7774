"""Frontrow: a booking server for concerts."""
