"""Hostile bytes at every decoder: nothing but `RefusedError` comes out, and memory stays bounded.

``python -m tests.fuzz NAME --executions N`` runs one target; without a name it runs all of them. A
target is one line of `tests.fuzz.targets`; `corpus/NAME/` holds what it is replayed against in the
test suite, and what a run finds is written there. Where a decoder stands behind a signature or a
checksum, the target puts a right one on, so that the bytes reach it.
"""
