"""What the programs read, and how a change of state becomes writes to it."""
