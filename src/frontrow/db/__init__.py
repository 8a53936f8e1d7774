"""The database: the embedded server, connections, queries, the schema."""
