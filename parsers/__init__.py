"""Lossless reading and writing of task files: bytes -> Document -> bytes.  Pure: no I/O, no clock.

May import ``syncd.schemas`` only.
"""
