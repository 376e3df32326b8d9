"""Real processes, real files, real ports."""
