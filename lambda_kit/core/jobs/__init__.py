"""The engine: from a request to its job's end."""
