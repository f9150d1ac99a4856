"""Calls that tools make with `requests`, `httpx` and `httpx2`: marked with their job on their way to the platform."""
