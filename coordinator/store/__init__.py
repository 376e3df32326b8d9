"""The database behind the transactions: named queries, numbered schema."""
