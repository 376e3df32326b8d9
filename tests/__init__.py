"""The proofs: each promise of docs/ARCHITECTURE.md has a test that fails when it is broken."""
