"""The agent's half of the CNI plugin: what the small program on the node hands over is answered here."""
