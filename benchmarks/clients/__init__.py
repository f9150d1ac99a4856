"""What sends the requests. Each runs as a process of its own and prints one line of JSON."""
