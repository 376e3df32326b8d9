"""Device protocols: each a pure codec and a driver over a bus."""
