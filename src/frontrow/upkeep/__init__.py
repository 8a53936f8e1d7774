"""Background jobs: admission, expiry, and this process's snapshot of the lines.

Every process runs all of them. Row locks guard the work, so that two processes at once do no harm,
and correctness never depends on a job running in time. Each module has one job that does a single
round; ``jobs`` repeats them.
"""
