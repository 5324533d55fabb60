"""Nodes of a lab: processes, agents, cgroups, and the objects that agents read."""
