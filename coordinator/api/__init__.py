"""HTTP: the URL table, the typed router, and thin handlers."""
