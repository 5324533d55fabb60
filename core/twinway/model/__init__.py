"""Immutable values: what the API says (`cluster`, `policy`) and what this node should do (`node`)."""
