"""The shell around stores: Postgres, served or embedded, behind the ``Store`` protocol."""
