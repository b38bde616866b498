"""The worker: claims cards and runs a command for each, in processes of its own.

May import ``syncd.api``, ``syncd.ports``, ``syncd.core``, ``syncd.schemas``, ``syncd.errors``, ``syncd.log``.
"""
