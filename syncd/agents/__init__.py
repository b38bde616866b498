"""What agents and orchestrators meet: the MCP server, events that go out, the monitor.

May import ``syncd.api``, ``syncd.ports``, ``syncd.core``, ``syncd.schemas``, ``syncd.errors``, ``syncd.log``.
"""
