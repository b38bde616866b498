"""The pure heart: no I/O, no clock, no randomness, no logging.  May import ``syncd.parsers`` and ``syncd.schemas``."""
