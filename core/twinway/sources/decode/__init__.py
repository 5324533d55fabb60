"""Kubernetes objects into values, each field checked once."""
