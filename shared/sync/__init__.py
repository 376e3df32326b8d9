"""One contact between an agent and its coordinator, as pure decisions over values."""
