"""Tickets in other forms: to print, for a calendar."""
