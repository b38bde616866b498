"""Shapes shared by every layer: cards, missions, configuration, JSON Schemas and SQL.  Imports nothing of syncd."""
