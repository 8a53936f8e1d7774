"""What tests, tools and benchmarks share: servers, clients, and the calls of a whole evening.

Nothing here imports tests, tools or benchmarks.
"""
