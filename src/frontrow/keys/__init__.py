"""THE KEYS that sign what Frontrow hands out: shared by all processes, rotated while they run."""
