"""Checks taken out one by one: a check whose removal no test notices is not claimed.

``python -m tests.mutants [NAME...] [--json]`` applies each mutant of the tables to a copy of the
tree, runs the tests that must notice it, and fails if one survives, if its text is no longer in the
source, or if the tests fail without any mutant. A new check brings its line in a table.
"""
