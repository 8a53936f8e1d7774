"""HOW LONG DATA IS KEPT: pruning what is long over, a user's own data, and its erasure."""
