"""The signing keys: shared by all processes, rotated while they run."""
