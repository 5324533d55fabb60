"""A driver that does nothing."""
