"""The edge agent: acquires, keeps, runs signed jobs, and talks to its coordinator when it can."""
