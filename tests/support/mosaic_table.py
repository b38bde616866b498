"""A database with the backlog table of a Mosaic service, for the page that adopts it: prints its address.

It is made in the embedded server of the environment, which somebody else keeps running.
"""

from __future__ import annotations

import os

import psycopg
from psycopg.conninfo import make_conninfo

from syncd.store.embedded import EmbeddedServer, data_dir
from tests.integration.test_migrations import MOSAIC

NAME = "mosaic"


def main() -> None:
    """Make the database and print its address."""
    with EmbeddedServer.start(data_dir(os.environ), grace_s=0.1) as server:
        with psycopg.connect(server.dsn, autocommit=True) as link:
            link.execute(f"drop database if exists {NAME} with (force)")
            link.execute(f"create database {NAME}")
        dsn = make_conninfo(server.dsn, dbname=NAME)
        with psycopg.connect(dsn) as link:
            link.execute(MOSAIC)
        print(dsn)


if __name__ == "__main__":
    main()
