"""The only impure corner of shared: system clock, SQLite, supervisor, logs."""
