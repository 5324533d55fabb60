"""Connections that a lab makes between its places, and what became of them."""
