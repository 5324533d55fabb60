"""What a node should do: model, sources, compute, reconcile, agent, command line."""
