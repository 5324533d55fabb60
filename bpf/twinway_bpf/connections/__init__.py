"""Pre-existing sockets and connections: their initiators, and what a change means for them."""
