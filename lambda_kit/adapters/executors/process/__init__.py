"""`ProcessExecutor`."""
