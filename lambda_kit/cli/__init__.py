"""The command line of a service file."""
