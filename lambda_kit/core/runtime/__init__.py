"""Threads, retries and the event loop."""
