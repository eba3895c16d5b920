"""The `c4` command."""
