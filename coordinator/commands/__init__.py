"""The subcommands of `outstation-coordinator`, one file for each noun.

A file has `add(commands)`, which adds its parsers; each parser names the function that carries
it out (`command`), which takes the parsed options and returns the exit status.
`coordinator.__main__` lists the files. Options that several share stand in `options`.
"""
