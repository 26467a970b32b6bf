"""The `floe` command: its own commands, those that rooms add, and how errors are told.

A room adds commands through the entry-point group `floe.cli`: the entry point leads to a `click.Command` or to a
sequence of them. Its module should import nothing but click at the top, so that `floe --help` stays quick.
"""
