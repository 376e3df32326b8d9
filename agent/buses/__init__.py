"""One owner per port: lock, silence, reconnect, counters."""
