"""The CNI plugin, one static binary that calls the agent, and where it is."""
