"""What a tool is: its class, its schemas, and one run of it."""
