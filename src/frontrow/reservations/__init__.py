"""WHERE SEATS ARE HELD: reservations, from the hold to its end."""
