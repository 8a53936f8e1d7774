"""THE PURCHASE, and the tickets it gives."""
