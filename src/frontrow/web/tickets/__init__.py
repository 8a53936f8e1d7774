"""Tickets in other forms: printable pages and calendar entries."""
