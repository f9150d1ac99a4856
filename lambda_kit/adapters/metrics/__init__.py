"""The numbers of a running service, for monitoring systems."""
