"""Policies of every kind into values."""
