"""Frozen bytes of signed documents, job specifications and contacts, with their meaning."""
