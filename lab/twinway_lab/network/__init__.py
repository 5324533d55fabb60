"""Namespaces, devices and routes of a lab."""
