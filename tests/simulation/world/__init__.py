"""A world that tries to break the promises: seeded, on virtual time, around the real programs.

`play` makes one world of a seed and judges it, `__main__` many of them, `found` holds the seeds
that once broke something. docs/simulation.md says what stands where.
"""
