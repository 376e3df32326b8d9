"""The coordinator: keeps the truth about a fleet and hands out signed work."""
