"""The shell around files: configuration, atomic replacement, locks, watching, the state beside the files."""
