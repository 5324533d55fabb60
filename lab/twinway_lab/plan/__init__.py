"""What a lab should be: nodes, pods, addresses. Pure."""
