"""Assets that write to other systems, each exactly once."""
