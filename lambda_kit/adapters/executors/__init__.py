"""Adapters: each knows one outside thing, and none imports another."""
