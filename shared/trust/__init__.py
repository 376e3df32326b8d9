"""Who may make a gateway do what: envelopes, documents, admission."""
