"""One request's load, decide and save as a generator over named queries."""
