"""Pure functions from a `Cluster` to a `NodeState`."""
