"""Whole programs on virtual time: seeded, single-threaded, repeatable from the seed alone."""
