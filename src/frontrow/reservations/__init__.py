"""Reservations: seats held for a user, from the hold to its end."""
