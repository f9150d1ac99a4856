"""Adapters: each folder knows one outside thing, and none imports another."""
