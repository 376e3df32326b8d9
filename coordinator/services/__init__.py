"""Work that outlives one request: contacts, waiting, deadlines, certificates, metrics."""
