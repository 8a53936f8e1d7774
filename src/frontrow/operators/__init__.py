"""WHO RUNS THE SALE: the operator's key and sessions."""
