"""What people read when they do not ask for JSON: pure functions from a command's JSON to a screen.

They take the JSON of the contract, so a screen can show nothing that ``--json`` does not say.
"""
