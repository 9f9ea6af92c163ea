"""A lab host to play with: `python -m tests.lab.shell SUITE [SCENARIO] [-- COMMAND...]`.

Boots, applies the scenario, runs the command, or each line of stdin, on the host, and throws the host away.
"""
