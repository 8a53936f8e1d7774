"""Code shared by tests, tools and benchmarks: servers, clients, and every call of the API.

Nothing here imports tests, tools or benchmarks.
"""
