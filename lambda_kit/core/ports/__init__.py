"""What others implement: stores, executors, sinks, observers."""
