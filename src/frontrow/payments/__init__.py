"""The purchase: payments, refunds, tickets and check-in."""
