"""The command line: parses arguments, prints; holds no rules."""
