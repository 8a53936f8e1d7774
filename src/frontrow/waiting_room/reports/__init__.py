"""Reports about a line for its operator: counts, history and export."""
