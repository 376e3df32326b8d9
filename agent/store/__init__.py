"""The agent's two databases and its tmpfs journal."""
